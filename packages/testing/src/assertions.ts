/** Assertions about a test app. `@umbel/testing/vitest` turns them into matchers. */
import { AssertionError } from 'node:assert';
import { inspect, isDeepStrictEqual } from 'node:util';
import { normalize } from '@umbel/canvas/internal';
import type { AnyStep, AnyTask, InputOf } from '@umbel/core';
import { checkOptions, type Duration, durationMs, type OptionNames } from '@umbel/core/internal';
import type { Attempt, AttemptOutcome, EnqueuedCall } from './history.js';
import type { TestApp } from './test-app.js';

/** A partial value: objects may omit keys, and asymmetric matchers such as `expect.any(…)` may occur anywhere. */
export type Expected<T> =
  | T
  | { asymmetricMatch(actual: unknown): boolean }
  | (T extends readonly unknown[]
      ? never
      : T extends object
        ? { [Key in keyof T]?: Expected<T[Key]> }
        : never);

/** Options of `assertEnqueued`. */
export interface EnqueuedOptions {
  /** Exact number of calls. Default: at least one. */
  times?: number | undefined;
  queue?: string | undefined;
  priority?: number | undefined;
  /** Delay before the call may start. */
  delay?: Duration | undefined;
}

/** Options of `assertRan`. */
export interface RunOptions {
  /** Exact number of attempts. Default: at least one. */
  times?: number | undefined;
}

const ENQUEUED: OptionNames<EnqueuedOptions> = { times: true, queue: true, priority: true, delay: true };
const RUN: OptionNames<RunOptions> = { times: true };

/** The result of an assertion, with the message for a failure of it or of its negation. */
export interface Verdict {
  readonly pass: boolean;
  readonly message: string;
}

/** Checks that a call of the task was sent, with at least this input. */
export function enqueued<Task extends AnyTask>(
  t: TestApp,
  task: Task,
  input?: Expected<InputOf<Task>>,
  options: EnqueuedOptions = {},
): Verdict {
  const { times, queue, priority, delay } = checkOptions(options, ENQUEUED);
  const found = t.enqueued.filter(
    (call) =>
      call.task === task.name &&
      includes(call.input, input) &&
      (queue === undefined || call.queue === queue) &&
      (priority === undefined || call.priority === priority) &&
      (delay === undefined || call.delayMs === durationMs(delay, 'delay')),
  );
  const claim = `${called(task.name, input)}${describeOptions(options)} to have been enqueued`;
  return verdict(countFits(found.length, times), claim, found.length, t.enqueued.map(enqueuedLine));
}

/** Checks that exactly these calls were sent, in this order. */
export function enqueuedExactly(
  t: TestApp,
  calls: readonly (AnyTask | readonly [AnyTask, unknown])[],
): Verdict {
  const expected = calls.map((call) => (isPair(call) ? call : ([call, undefined] as const)));
  const pass =
    expected.length === t.enqueued.length &&
    expected.every(([task, input], index) => {
      const actual = t.enqueued[index];
      return actual?.task === task.name && includes(actual.input, input);
    });
  const lines = expected.map(([task, input]) => `\n  ${called(task.name, input)}`).join('');
  return verdict(
    pass,
    `exactly these to have been enqueued:${lines}\n`,
    undefined,
    t.enqueued.map(enqueuedLine),
  );
}

/** Checks that the task's handler or its fake ran. */
export function ran(t: TestApp, task: AnyTask, options: RunOptions = {}): Verdict {
  const { times } = checkOptions(options, RUN);
  const found = t.attempts.filter((attempt) => attempt.task === task.name && attempt.ran);
  const claim = `${task.name} to have run${times === undefined ? '' : ` ${times}×`}`;
  return verdict(countFits(found.length, times), claim, found.length, t.attempts.map(attemptLine));
}

/** Checks that an attempt of the task failed with an error whose message contains `text`. */
export function failed(t: TestApp, task: AnyTask, text = ''): Verdict {
  const found = t.attempts.filter(
    ({ task: name, outcome }) =>
      name === task.name && outcome?.ok === false && outcome.error.message.includes(text),
  );
  const claim = `${task.name} to have failed${text === '' ? '' : ` with "${text}"`}`;
  return verdict(found.length > 0, claim, undefined, t.attempts.map(attemptLine));
}

/** Checks that two workflows are equal after normalization, which flattens nested chains and chords. */
export function matchesCanvas(actual: AnyStep, expected: AnyStep): Verdict {
  const [is, should] = [workflowOf(actual), workflowOf(expected)];
  return {
    pass: isDeepStrictEqual(is, should),
    message: `Expected the workflow\n${inspect(is, WHOLE)}\nto be\n${inspect(should, WHOLE)}`,
  };
}

const WHOLE = { depth: 50, maxArrayLength: 200, sorted: true } as const;

function workflowOf(step: AnyStep): unknown {
  const { toJSON } = step as unknown as { toJSON(): Parameters<typeof normalize>[0] }; // every step has it
  return normalize(toJSON.call(step));
}

/**
 * Asserts that a call of the task was sent, with at least this input.
 * @throws {AssertionError} otherwise.
 * @example
 * await using t = await testApp(app);
 * assertEnqueued(t, sendMail, { to: 'a@example.com' }, { times: 1 });
 */
export function assertEnqueued<Task extends AnyTask>(
  t: TestApp,
  task: Task,
  input?: Expected<InputOf<Task>>,
  options?: EnqueuedOptions,
): void {
  assertThat(enqueued(t, task, input, options));
}

/**
 * Asserts that exactly these calls were sent, in this order.
 * @throws {AssertionError} otherwise.
 * @example
 * await using t = await testApp(app);
 * assertEnqueuedExactly(t, [sendMail, [resize, { path: 'a.png' }]]);
 */
export function assertEnqueuedExactly(
  t: TestApp,
  calls: readonly (AnyTask | readonly [AnyTask, unknown])[],
): void {
  assertThat(enqueuedExactly(t, calls));
}

/**
 * Asserts that the task's handler or its fake ran.
 * @throws {AssertionError} otherwise.
 * @example
 * await using t = await testApp(app);
 * assertRan(t, sendMail, { times: 2 });
 */
export function assertRan(t: TestApp, task: AnyTask, options?: RunOptions): void {
  assertThat(ran(t, task, options));
}

function assertThat({ pass, message }: Verdict): void {
  if (!pass) throw new AssertionError({ message });
}

function verdict(pass: boolean, claim: string, found: number | undefined, lines: string[]): Verdict {
  const count = found === undefined ? '' : ` (it was ${found}×)`;
  const there = lines.length === 0 ? 'There was nothing.' : `There was:\n${lines.join('\n')}`;
  return { pass, message: `Expected ${pass ? 'not ' : ''}${claim}${count}.\n${there}` };
}

function countFits(found: number, times: number | undefined): boolean {
  return times === undefined ? found > 0 : found === times;
}

/** Whether `actual` contains at least the values of `expected`. */
function includes(actual: unknown, expected: unknown): boolean {
  if (expected === undefined) return true;
  if (isAsymmetric(expected)) return expected.asymmetricMatch(actual);
  if (typeof expected !== 'object' || expected === null) return Object.is(actual, expected);
  if (typeof actual !== 'object' || actual === null || Array.isArray(actual) !== Array.isArray(expected))
    return false;
  if (Array.isArray(expected) && (actual as unknown[]).length !== expected.length) return false;
  return Object.entries(expected).every(([key, value]) =>
    includes((actual as Record<string, unknown>)[key], value),
  );
}

function isAsymmetric(value: unknown): value is { asymmetricMatch(actual: unknown): boolean } {
  return typeof value === 'object' && value !== null && 'asymmetricMatch' in value;
}

function isPair(call: AnyTask | readonly [AnyTask, unknown]): call is readonly [AnyTask, unknown] {
  return Array.isArray(call);
}

function called(task: string, input: unknown): string {
  return input === undefined ? task : `${task} ${brief(input)}`;
}

function describeOptions({ times, ...rest }: EnqueuedOptions): string {
  const options = Object.keys(rest).length === 0 ? '' : ` with ${brief(rest)}`;
  return times === undefined ? options : `${options} ${times}×`;
}

function enqueuedLine({ task, input, queue, delayMs, priority }: EnqueuedCall): string {
  const more = {
    ...(queue !== 'default' && { queue }),
    ...(delayMs > 0 && { delayMs }),
    ...(priority > 0 && { priority }),
  };
  return `  ${called(task, input)}${Object.keys(more).length === 0 ? '' : ` ${brief(more)}`}`;
}

function attemptLine({ task, input, attempt, outcome }: Attempt): string {
  return `  ${called(task, input)}${attempt > 1 ? ` (attempt ${attempt})` : ''} → ${endOf(outcome)}`;
}

function endOf(outcome: AttemptOutcome | undefined): string {
  if (outcome === undefined) return 'still runs';
  if (outcome.ok === undefined) return 'lost with its worker';
  return outcome.ok ? brief(outcome.value) : String(outcome.error);
}

function brief(value: unknown): string {
  return inspect(value, { depth: 4, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 100 });
}
