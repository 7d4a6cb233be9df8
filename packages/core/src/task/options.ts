/** Options of tasks, signatures and sends: their public types, and their conversion to plain data. */
import { InvalidOptionError } from '../base/errors.js';
import { checkKnown, checkText, type OptionNames, positiveMs, type Writable } from '../base/option-checks.js';
import { type Duration, durationMs } from '../base/time.js';
import type { FailureRecord } from '../codec/error-record.js';
import type { NormalizedOptions } from '../job/shared-options.js';
import type { TaskContext } from './context.js';
import { checkHeaders, checkPriority, checkQueue, checkTags, MAX_DISPLAY_NAME } from './option-checks.js';
import { normalizeCallRetry, type RetryOptions, type TaskRetryOptions } from './retry.js';
import type { Step } from './types/step.js';

/** Options of a task and of each of its calls. The options of a call take precedence. */
export interface CallOptions {
  /** Default: the app's `routes`, else `'default'`. Letters, digits, `_`, `.` and `-`, at most 100. */
  queue?: string | undefined;
  /** Smaller numbers run first. A whole number from 0 to 2,097,151. Default: 0, which runs before all others. */
  priority?: number | undefined;
  /** Default: no retry. */
  retry?: RetryOptions | undefined;
  /**
   * Maximum duration of one attempt. After it, `ctx.signal` is aborted and the attempt fails with a `TimeLimitError`, even
   * if the handler continues; its later outcome is ignored. Default: no limit.
   */
  timeout?: Duration | undefined;
  /**
   * Latest start: a job that has not started by this time, or within this duration after it was sent, never runs and
   * becomes `expired`. For a step, the duration begins when the workflow is sent. Default: never.
   */
  expires?: Duration | Date | undefined;
}

/** Deduplication: of several equal calls of a task, one runs. It applies to single calls, not to steps of a workflow. */
export interface DeduplicationOptions<In = unknown> {
  /**
   * While a call waits or runs, further calls with the same key are not added, and return the handle of the first call.
   * With `for`, this holds until that time has passed since the first call, even if it has ended. With
   * `until: 'started'`, it holds only until the handler of the first call starts, so no later change is missed.
   */
  unique?: true | UniqueOptions<In> | undefined;
  /** At most one call with the same key runs in each period of `for`: the first. */
  throttle?: ThrottleOptions<In> | undefined;
  /**
   * The last call with the same key runs, when no further call has come for the time `for`. With `maxWait`, it runs at
   * most that long after the first call.
   */
  debounce?: DebounceOptions<In> | undefined;
}

/** A fixed key, or a function of the input. Default: the whole input. */
type CallKey<In> = string | ((input: In) => string);

/**
 * Options of `unique`.
 * @example
 * await reindex.applyAsync({ shop: 7 }, { unique: { key: 'shop-7', until: 'started' } });
 */
export interface UniqueOptions<In = unknown> {
  for?: Duration | undefined;
  key?: CallKey<In> | undefined;
  /** Default `'ended'`. Not together with `for`. */
  until?: 'ended' | 'started' | undefined;
}

/**
 * Options of `throttle`.
 * @example
 * await sendAlert.applyAsync({ text }, { throttle: { for: '10m', key: 'disk-full' } });
 */
export interface ThrottleOptions<In = unknown> {
  for: Duration;
  key?: CallKey<In> | undefined;
}

/**
 * Options of `debounce`.
 * @example
 * await save.applyAsync({ page }, { debounce: { for: '2s', maxWait: '30s', key: page.id } });
 */
export interface DebounceOptions<In = unknown> {
  for: Duration;
  key?: CallKey<In> | undefined;
  /** Longest wait since the first call, at least `for`. Default: no limit, so a call may be delayed without end. */
  maxWait?: Duration | undefined;
}

/** Options of a task, which apply to each of its calls. */
export interface TaskOptions<In = unknown>
  extends Omit<CallOptions, 'retry' | 'expires'>,
    DeduplicationOptions<In> {
  retry?: TaskRetryOptions | undefined;
  expires?: Duration | undefined;
}

/** Options of one signature. They take precedence over the options of its task. */
export interface SignatureOptions extends CallOptions {
  /** Delay before the job may start, counted from the moment at which it could otherwise start. */
  countdown?: Duration | undefined;
  /** Text beside the input, such as a trace or a tenant. The handler reads it from `ctx.headers`. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** A readable name, shown in lists of jobs. Default: the task's name. At most 200 characters. */
  displayName?: string | undefined;
  /**
   * Labels to find and revoke jobs by. Tags accumulate: every step has the tags of its workflow. At most 20 tags of 200
   * characters.
   */
  tags?: readonly string[] | undefined;
}

/**
 * Options of one call of `applyAsync`.
 * @example
 * await sendMail.applyAsync(mail, { countdown: '10m', idempotencyKey: `welcome-${user.id}`, tags: ['welcome'] });
 */
export interface SendOptions<Out = unknown> extends SignatureOptions, DeduplicationOptions {
  /** Earliest start. Not together with `countdown`. */
  eta?: Date | undefined;
  /**
   * Makes the send safe to repeat: calls with the same key and the same input return the same job, while the store holds
   * it. At most 1,000 characters.
   */
  idempotencyKey?: string | undefined;
  /** Sent once with the result as input, after success. A failing callback does not change the result. */
  link?: Step<string, Out, unknown> | readonly Step<string, Out, unknown>[] | undefined;
  /** Sent once with a `FailureRecord` as input, after the final failure, but not if the call was revoked. */
  linkError?:
    | Step<string, FailureRecord, unknown>
    | readonly Step<string, FailureRecord, unknown>[]
    | undefined;
  /** The result is not stored: `get()` returns `null` when the job has ended. Default false. */
  ignoreResult?: boolean | undefined;
  /** The context of the handler that sends this call: it sets `ctx.parentId` and `ctx.rootId` of the sent jobs. */
  parent?: Pick<TaskContext, 'id' | 'rootId'> | undefined;
  /** How long the send is retried while the store cannot be reached. Default: the app's `sendTimeout`. */
  sendTimeout?: Duration | undefined;
}

/** Options of `sendMany`. They apply to each call. */
export type BulkOptions = SignatureOptions &
  Pick<SendOptions, 'eta' | 'ignoreResult' | 'parent' | 'sendTimeout'>;

export const NO_OPTIONS: NormalizedOptions = Object.freeze({});

const OPTIONS: OptionNames<SendOptions> = {
  queue: true,
  priority: true,
  countdown: true,
  eta: true,
  expires: true,
  timeout: true,
  retry: true,
  headers: true,
  displayName: true,
  tags: true,
  idempotencyKey: true,
  unique: true,
  throttle: true,
  debounce: true,
  link: true,
  linkError: true,
  ignoreResult: true,
  parent: true,
  sendTimeout: true,
};

export function isSendOption(name: string): boolean {
  return Object.hasOwn(OPTIONS, name);
}

/** The option names of `set`. */
export const SIGNATURE_OPTIONS: OptionNames<SignatureOptions> = {
  queue: true,
  priority: true,
  countdown: true,
  expires: true,
  timeout: true,
  retry: true,
  headers: true,
  displayName: true,
  tags: true,
};

/** The option names of `sendMany`. */
export const BULK_OPTIONS: OptionNames<BulkOptions> = {
  ...SIGNATURE_OPTIONS,
  eta: true,
  ignoreResult: true,
  parent: true,
  sendTimeout: true,
};

/**
 * Checks options and converts them to plain data, with times in milliseconds. Absent options stay absent.
 * @throws {InvalidOptionError} at the first unknown or invalid option.
 */
export function normalizeOptions(
  options: SignatureOptions & Pick<SendOptions, 'eta'>,
  now: number,
  known: Readonly<Record<string, true>> = OPTIONS,
): NormalizedOptions {
  if (Object.keys(options).length === 0) return NO_OPTIONS;
  checkKnown(options, known);
  const { queue, priority, countdown, eta, headers, displayName, tags, retry, timeout, expires } = options;
  // Assignments: every call with an option comes here, and each conditional spread copies an object.
  const normal: Writable<NormalizedOptions> = {};
  if (queue !== undefined) normal.queue = checkQueue('queue', queue);
  if (priority !== undefined) normal.priority = checkPriority(priority);
  if (countdown !== undefined || eta !== undefined) normal.delayMs = delayOf(countdown, eta, now);
  if (headers !== undefined) normal.headers = checkHeaders(headers);
  if (displayName !== undefined) normal.displayName = checkText('displayName', displayName, MAX_DISPLAY_NAME);
  if (tags !== undefined) normal.tags = checkTags(tags);
  if (retry !== undefined) normal.retry = normalizeCallRetry(retry);
  if (timeout !== undefined) normal.timeoutMs = positiveMs(timeout, 'timeout');
  if (expires instanceof Date) normal.expiresAt = timeOf(expires, 'expires');
  else if (expires !== undefined) normal.expiresMs = positiveMs(expires, 'expires');
  return normal;
}

/**
 * Merges two sets of options; those of `above` take precedence. Headers are merged by key, and tags accumulate.
 * @throws {InvalidOptionError} if the result has too many tags.
 */
export function mergeOptions(
  below: NormalizedOptions = NO_OPTIONS,
  above: NormalizedOptions,
): NormalizedOptions {
  if (above === NO_OPTIONS) return below;
  if (below === NO_OPTIONS) return above;
  const merged = { ...withoutExpiry(below, above), ...above };
  const { headers, tags } = below;
  return {
    ...merged,
    ...(headers !== undefined &&
      above.headers !== undefined && { headers: { ...headers, ...above.headers } }),
    ...(tags !== undefined && above.tags !== undefined && { tags: checkTags([...tags, ...above.tags]) }),
  };
}

/** Removes the lower expiry if the upper options have one, because a duration and a moment must replace each other. */
function withoutExpiry(below: NormalizedOptions, above: NormalizedOptions): NormalizedOptions {
  if (above.expiresMs === undefined && above.expiresAt === undefined) return below;
  const { expiresMs: _time, expiresAt: _moment, ...others } = below;
  return others;
}

function delayOf(countdown: Duration | undefined, eta: Date | undefined, now: number): number {
  if (countdown === undefined) return Math.max(0, timeOf(eta, 'eta') - now);
  if (eta !== undefined) throw new InvalidOptionError('eta', 'absent when `countdown` is given', eta);
  return durationMs(countdown, 'countdown');
}

function timeOf(date: Date | undefined, option: string): number {
  if (!(date instanceof Date) || Number.isNaN(date.getTime())) {
    throw new InvalidOptionError(option, 'a valid Date', date);
  }
  return date.getTime();
}
