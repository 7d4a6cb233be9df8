/** The context that a handler receives, and the test for calls that come from inside a handler. */
import type { Duration } from '../base/time.js';
import type { InputArgs, Step } from './types/step.js';
import type { FailuresOf, ProgressOf, StatesOf } from './types/task.js';

/**
 * Writes log lines that are stored with the job, for `result.logs()` and dashboards. The last 1,000 are kept.
 * @example
 * ctx.log.info('uploaded', { file: 'cat.png' });
 */
export interface TaskLog {
  debug(message: string, details?: unknown): void;
  info(message: string, details?: unknown): void;
  warn(message: string, details?: unknown): void;
  error(message: string, details?: unknown): void;
}

/** Options of `ctx.retry()`. */
export interface RetryRequestOptions {
  /** Wait before the next attempt. Default: the task's back-off, or 1 s if `countAttempt` is false. */
  in?: Duration | undefined;
  reason?: string | undefined;
  cause?: unknown;
  /**
   * False for a job that polls: the job returns to its queue as if it had not started, so attempts and back-off remain
   * for errors. This has no limit: to give up, compare `ctx.now()` with `ctx.enqueuedAt`. Only the hooks `before` and
   * `always` are called. Default true.
   */
  countAttempt?: boolean | undefined;
}

/** Options of a member that a handler adds to its group. */
export interface MemberOptions {
  /**
   * Identifies the member among those that this job adds. Adding the same key again, in this or a later attempt, has no
   * effect. Default: the member is identified by its tasks and inputs. At most 1,000 characters.
   */
  key?: string | undefined;
}

/** The arguments after the member: its input, if it needs one, then its options. */
export type MemberArgs<In> =
  InputArgs<In> extends []
    ? [input?: undefined, options?: MemberOptions]
    : [...InputArgs<In>, options?: MemberOptions];

/**
 * The second argument of a handler: facts about the job, and operations on it.
 * @example
 * const resize = app.task({
 *   name: 'image.resize',
 *   input: z.object({ path: z.string() }),
 *   run: async ({ path }, ctx) => {
 *     ctx.log.info('resizing', { path, attempt: ctx.attempt });
 *     await fetch(path, { signal: ctx.signal });
 *     return path;
 *   },
 * });
 */
export interface TaskContext<Extras = {}> {
  /** The job's id. It is the same in all attempts. */
  readonly id: string;
  /** The task's name. */
  readonly name: string;
  readonly queue: string;
  /** Counted from 1. */
  readonly attempt: number;
  /** The workflow run that this job belongs to. Absent for a single call. */
  readonly runId?: string;
  /** The topmost ancestor of this job, a job or a workflow run. Without a parent: its own run, or the job itself. */
  readonly rootId: string;
  /**
   * The job whose handler sent this one with `parent: ctx`, replaced itself with it, or added it to a group; otherwise the
   * workflow run.
   */
  readonly parentId?: string;
  /** Time at which the call, or the workflow it belongs to, was sent. */
  readonly enqueuedAt: Date;
  /** The sender's idempotency key, or the job's id. It is the same in all attempts; pass it to services that accept one. */
  readonly idempotencyKey: string;
  /** The `headers` that were sent with the call or the workflow. */
  readonly headers: Readonly<Record<string, string>>;
  /** The tags of the call and of the workflow it belongs to. */
  readonly tags: readonly string[];
  /**
   * Aborted when the attempt ends or must end: it timed out, was revoked, or its worker closes. Pass it to every operation
   * that accepts a signal.
   */
  readonly signal: AbortSignal;
  readonly log: TaskLog;
  /** Returns milliseconds since 1970. In tests this is virtual time. */
  now(): number;
  /**
   * Resolves after `duration`. In tests this is virtual time.
   * @throws the reason of `ctx.signal`, when it is aborted.
   */
  sleep(duration: Duration): Promise<void>;
  /**
   * Stores the progress of the work, for `result.progress()`. The value has the type of the task's `progress` schema, if
   * there is one.
   * @throws {ValidationError} if the value does not match the schema, or JSON would change it.
   */
  progress(value: ProgressOf<Extras>): Promise<void>;
  /** Shows one of the task's declared `states` as the state of the job, until the attempt ends. */
  setState(state: StatesOf<Extras>): Promise<void>;
  /**
   * Ends the job with one of the task's declared `failures`, which the caller receives as a typed outcome. Not retried.
   * Always throws; write `return ctx.fail(…)` or `throw ctx.fail(…)`.
   * @example
   * if (card.isExpired) return ctx.fail('declined', { reason: 'the card has expired' });
   */
  fail<Failure extends keyof FailuresOf<Extras> & string>(
    failure: Failure,
    ...data: FailuresOf<Extras>[Failure] extends undefined ? [] : [data: FailuresOf<Extras>[Failure]]
  ): never;
  /**
   * Ends the attempt and requests another one after `in`, by default after the task's back-off. It counts as an attempt,
   * unless `countAttempt` is false. If the options allow no retry, at most 4 attempts are made. Always throws.
   * @example
   * if (response.status === 429) ctx.retry({ in: '30s', reason: 'rate limited' });
   */
  retry(options?: RetryRequestOptions): never;
  /**
   * Replaces this job with a call or a workflow: its result becomes the result of this job. The job keeps its id, its
   * callbacks and its position in a workflow run. Every input except `input` must be bound. Always throws; write
   * `return ctx.replace(…)`, so the compiler checks that the result has this task's type.
   * @example
   * if (file.isLarge) return ctx.replace(chain(split, upload), { path: file.path });
   */
  replace<In, Out>(step: Step<string, In, Out>, ...input: InputArgs<In>): Out;
  /**
   * Ends the innermost chain in which a step follows this job, with `value` as the result of the chain. The following
   * steps are `skipped`, and whatever waits for the chain continues. If no step follows, `value` is the result of the job.
   * Always throws.
   */
  stop(value?: unknown): never;
  /**
   * Adds a member to the innermost group that contains this job. The group waits for the new member, and its result
   * comes after those of the declared members. A member is identified by its tasks and inputs, and equal members by their
   * count: a repeated attempt adds only members that earlier attempts did not add, in any order. Set a `key` if the
   * input differs between attempts.
   * @throws {JobStateError} if the job is in no group; if the group is a record, `group.any` or `group.atLeast`; or if a
   * key is used for two different members.
   * @example
   * for (const link of links) await ctx.addToGroup(visit, { url: link.href, at: ctx.now() }, { key: link.href });
   */
  addToGroup<In>(step: Step<string, In, unknown>, ...input: MemberArgs<In>): Promise<void>;
  /** Fails the job at once, without retries. Always throws. */
  reject(reason: string): never;
}

// Detection of calls from inside a handler. It reads the stack trace, which V8 continues across every `await`, because
// AsyncLocalStorage would cost a busy worker as much as its jobs. Callers outside the chain of awaits, such as timers, are
// not recognised. See https://v8.dev/docs/stack-trace-api#async-stack-traces

/**
 * The name of the method that calls and awaits handlers, as it appears in stack traces. Minifiers keep it, because it is
 * the name of a property.
 */
export const HANDLER_FRAME = 'umbel handler';

/** More stack frames than there usually are between a handler and the call it makes. */
const MAX_FRAMES = 100;

/** Number of handlers that run in this process. */
let running = 0;

/** Must be called before a handler is called. */
export function handlerBegins(): void {
  running += 1;
}

/** Must be called when a handler has returned or thrown. */
export function handlerEnded(): void {
  running -= 1;
}

/** Returns whether the caller runs inside a handler. Must be called before the first `await`. */
export function isInHandler(): boolean {
  if (running === 0) return false; // reading a stack trace costs as much as sending a call
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = MAX_FRAMES;
  const { stack } = new Error('where am I?');
  Error.stackTraceLimit = stackTraceLimit;
  return stack?.includes(HANDLER_FRAME) ?? false;
}
