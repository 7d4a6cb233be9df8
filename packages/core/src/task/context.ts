import type { Duration } from '../base/time.js';
import type { InputArgs, Step } from './types/step.js';
import type { FailuresOf, ProgressOf, StatesOf } from './types/task.js';

/** Lines kept with the job, for `result.logs()` and for people who look at it; the last 1,000 of them. */
export interface TaskLog {
  debug(message: string, details?: unknown): void;
  info(message: string, details?: unknown): void;
  warn(message: string, details?: unknown): void;
  error(message: string, details?: unknown): void;
}

/** How another attempt is asked for. */
export interface RetryRequestOptions {
  /** The wait. Default: the task's own, and 1 s where `countAttempt` is false. */
  in?: Duration | undefined;
  reason?: string | undefined;
  cause?: unknown;
  /**
   * False for a job that looks whether something is there yet: the job goes back to its queue as one that was not started,
   * so that attempts and back-off are kept for errors. It may do so until it is revoked: compare `ctx.now()` with
   * `ctx.enqueuedAt` to give up. Of the hooks only `before` and `always` are called. Default true.
   */
  countAttempt?: boolean | undefined;
}

/** Options of a member that a handler adds to its group. */
export interface MemberOptions {
  /**
   * Names the member among those that this job adds: asking for it again, in this attempt or a repeated one, changes
   * nothing. Default: its tasks and inputs are its name. At most 1,000 characters.
   */
  key?: string | undefined;
}

/** The input of a member, if it needs any, then its options. */
export type MemberArgs<In> =
  InputArgs<In> extends []
    ? [input?: undefined, options?: MemberOptions]
    : [...InputArgs<In>, options?: MemberOptions];

/** What a handler is given beside its input. */
export interface TaskContext<Extras = {}> {
  /** The job's id, the same over all attempts. */
  readonly id: string;
  /** The task's name. */
  readonly name: string;
  readonly queue: string;
  /** Counted from 1. */
  readonly attempt: number;
  /** The run this job is a step of; absent for a call sent on its own. */
  readonly runId?: string;
  /** The first of the jobs, or the run, that this one goes back to; its own run, or itself, if it has no parent. */
  readonly rootId: string;
  /** The job whose handler sent this one with `parent: ctx`, put it in its place or added it to its group; else the run. */
  readonly parentId?: string;
  /** When the call, or the composition it belongs to, was sent. */
  readonly enqueuedAt: Date;
  /** The sender's key, else the job's id: the same over all attempts, for services that take such a key. */
  readonly idempotencyKey: string;
  /** What was sent as `headers` with the call or the composition. */
  readonly headers: Readonly<Record<string, string>>;
  /** Labels of the call and of what it belongs to. */
  readonly tags: readonly string[];
  /** Aborted when the attempt is over or is to end: timed out, revoked, its worker closed. Pass it on to whatever can be stopped. */
  readonly signal: AbortSignal;
  readonly log: TaskLog;
  /** Milliseconds since 1970, by the clock of the engine: in tests, virtual time. */
  now(): number;
  /**
   * Resolves after `duration` of the engine's time.
   * @throws the signal's reason, once it is aborted.
   */
  sleep(duration: Duration): Promise<void>;
  /**
   * Stores how far the work is, for `result.progress()`; of the type of the task's `progress` schema, if it has one.
   * @throws {ValidationError} if the value does not fit, or JSON would change it.
   */
  progress(value: ProgressOf<Extras>): Promise<void>;
  /** Shows one of the task's own `states` as the state of the job, until the attempt ends. */
  setState(state: StatesOf<Extras>): Promise<void>;
  /**
   * Ends the job with one of the `failures` that its task declares; the caller gets it as a typed outcome. Not retried.
   * Use it as `return ctx.fail(…)` or `throw ctx.fail(…)`, whichever reads better: it throws.
   */
  fail<Failure extends keyof FailuresOf<Extras> & string>(
    failure: Failure,
    ...data: FailuresOf<Extras>[Failure] extends undefined ? [] : [data: FailuresOf<Extras>[Failure]]
  ): never;
  /**
   * Ends the attempt and asks for another, after `in`, by default after the task's own wait. Counts as an attempt, unless
   * `countAttempt` is false; where the options allow no retry, up to 4 attempts are made. Throws.
   */
  retry(options?: RetryRequestOptions): never;
  /**
   * Puts a call or a composition in this job's place: its result is the job's result, for whoever waits for it, and the
   * job's id, links and place in a run stay. Nothing of it may be left open but `input`. Write `return ctx.replace(…)`, so
   * that its result is checked to be one of this task's; it throws.
   */
  replace<In, Out>(step: Step<string, In, Out>, ...input: InputArgs<In>): Out;
  /**
   * Ends the innermost chain in which a step follows this job, with `value` as its result: the steps that follow are
   * `skipped`, and what waits for the chain goes on. Where no step follows, the job just gives it. Throws.
   */
  stop(value?: unknown): never;
  /**
   * Adds a member to the innermost group that this job is in; whoever waits for the group waits for it too, and finds its
   * result after those that were declared. A member is known by its tasks and inputs, and which it is of several equal
   * ones: an attempt that is repeated adds what earlier ones have not added, in whatever order it asks for them. Give a
   * `key` where the input differs from attempt to attempt.
   * @throws {JobStateError} if the job is in no group, its group is a record, `group.any` or `group.atLeast`, or a key is
   * used for two different members.
   * @example
   * for (const link of links) await ctx.addToGroup(visit, { url: link.href, at: ctx.now() }, { key: link.href });
   */
  addToGroup<In>(step: Step<string, In, unknown>, ...input: MemberArgs<In>): Promise<void>;
  /** Ends the job as failed at once, whatever its retries. Throws. */
  reject(reason: string): never;
}

/**
 * Whether a call comes from inside a task's handler. It is read from the stack, which V8 continues over every `await`:
 * context that follows asynchronous calls (AsyncLocalStorage) costs a busy worker as much as its jobs. A caller that
 * leaves the chain of awaits, such as a timer, is not recognised.
 *
 * @see https://v8.dev/docs/stack-trace-api#async-stack-traces
 */

/**
 * The name of the method that calls handlers, and awaits them: it stands in stack traces. As the name of a property it
 * stays what it is when the code is minified.
 */
export const HANDLER_FRAME = 'umbel handler';

/** More than handlers have between themselves and what they call. */
const DEPTH = 100;

/** Handlers that run in this process. */
let running = 0;

/** A handler is about to be called. */
export function handlerBegins(): void {
  running += 1;
}

/** What it has given, or thrown, is there. */
export function handlerEnded(): void {
  running -= 1;
}

/** To be called before anything is awaited. */
export function isInHandler(): boolean {
  if (running === 0) return false; // to read a stack takes as long as to send a call
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = DEPTH;
  const { stack } = new Error('where am I?');
  Error.stackTraceLimit = stackTraceLimit;
  return stack?.includes(HANDLER_FRAME) ?? false;
}
