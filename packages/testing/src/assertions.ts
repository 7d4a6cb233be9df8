/** What can be claimed of an app under test; `@umbel/testing/vitest` makes matchers of it. */
import { AssertionError } from 'node:assert';
import { inspect, isDeepStrictEqual } from 'node:util';
import { normalize } from '@umbel/canvas/internal';
import type { AnyStep, AnyTask, InputOf } from '@umbel/core';
import { checkOptions, type Duration, durationMs, type OptionNames } from '@umbel/core/internal';
import type { Attempt, AttemptOutcome, EnqueuedCall } from './history.js';
import type { TestApp } from './test-app.js';

/** A part of a value: objects may leave keys out; `expect.any(…)` and the like may stand anywhere. */
export type Expected<T> =
  | T
  | { asymmetricMatch(actual: unknown): boolean }
  | (T extends readonly unknown[]
      ? never
      : T extends object
        ? { [Key in keyof T]?: Expected<T[Key]> }
        : never);

export interface EnqueuedOptions {
  /** How often. Default: at least once. */
  times?: number | undefined;
  queue?: string | undefined;
  priority?: number | undefined;
  /** The wait before it may start. */
  delay?: Duration | undefined;
}

export interface RunOptions {
  /** How many attempts. Default: at least one. */
  times?: number | undefined;
}

const ENQUEUED: OptionNames<EnqueuedOptions> = { times: true, queue: true, priority: true, delay: true };
const RUN: OptionNames<RunOptions> = { times: true };

/** Whether a claim holds, and what to say if it does not, or if it should not have. */
export interface Verdict {
  readonly pass: boolean;
  readonly message: string;
}

/** That a call of the task was sent, with at least this input. */
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
  const claim = `${called(task.name, input)}${shown(options)} to have been enqueued`;
  return verdict(countFits(found.length, times), claim, found.length, t.enqueued.map(enqueuedLine));
}

/** That these calls were sent, in this order, and nothing else. */
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

/** That the task's handler, or its fake, ran. */
export function ran(t: TestApp, task: AnyTask, options: RunOptions = {}): Verdict {
  const { times } = checkOptions(options, RUN);
  const found = t.attempts.filter((attempt) => attempt.task === task.name && attempt.ran);
  const claim = `${task.name} to have run${times === undefined ? '' : ` ${times}×`}`;
  return verdict(countFits(found.length, times), claim, found.length, t.attempts.map(attemptLine));
}

/** That an attempt of the task failed, with an error whose message holds `text`. */
export function failed(t: TestApp, task: AnyTask, text = ''): Verdict {
  const found = t.attempts.filter(
    ({ task: name, outcome }) =>
      name === task.name && outcome?.ok === false && outcome.error.message.includes(text),
  );
  const claim = `${task.name} to have failed${text === '' ? '' : ` with "${text}"`}`;
  return verdict(found.length > 0, claim, undefined, t.attempts.map(attemptLine));
}

/** That two compositions are the same workflow: nested chains and chords count as what they mean. */
export function matchesCanvas(actual: AnyStep, expected: AnyStep): Verdict {
  const [is, should] = [workflowOf(actual), workflowOf(expected)];
  return {
    pass: isDeepStrictEqual(is, should),
    message: `Expected the workflow\n${inspect(is, WHOLE)}\nto be\n${inspect(should, WHOLE)}`,
  };
}

const WHOLE = { depth: 50, maxArrayLength: 200, sorted: true } as const;

function workflowOf(step: AnyStep): unknown {
  const { toJSON } = step as unknown as { toJSON(): Parameters<typeof normalize>[0] }; // what every step can do
  return normalize(toJSON.call(step));
}

/** @throws {AssertionError} unless a call of the task was sent, with at least this input. */
export function assertEnqueued<Task extends AnyTask>(
  t: TestApp,
  task: Task,
  input?: Expected<InputOf<Task>>,
  options?: EnqueuedOptions,
): void {
  assertThat(enqueued(t, task, input, options));
}

/** @throws {AssertionError} unless these calls were sent, in this order, and nothing else. */
export function assertEnqueuedExactly(
  t: TestApp,
  calls: readonly (AnyTask | readonly [AnyTask, unknown])[],
): void {
  assertThat(enqueuedExactly(t, calls));
}

/** @throws {AssertionError} unless the task's handler, or its fake, ran. */
export function assertRan(t: TestApp, task: AnyTask, options?: RunOptions): void {
  assertThat(ran(t, task, options));
}

function assertThat({ pass, message }: Verdict): void {
  if (!pass) throw new AssertionError({ message });
}

function verdict(pass: boolean, claim: string, found: number | undefined, lines: string[]): Verdict {
  const count = found === undefined ? '' : ` (it was ${found}×)`;
  const there = lines.length === 0 ? 'Nothing was there.' : `There was:\n${lines.join('\n')}`;
  return { pass, message: `Expected ${pass ? 'not ' : ''}${claim}${count}.\n${there}` };
}

function countFits(found: number, times: number | undefined): boolean {
  return times === undefined ? found > 0 : found === times;
}

/** Whether `actual` holds at least what `expected` says. */
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

function shown({ times, ...rest }: EnqueuedOptions): string {
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
