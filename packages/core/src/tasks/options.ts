import { type Duration, durationMs } from '../duration.js';
import { InvalidOptionError } from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import type { TaskContext } from '../running/context.js';
import type { Step } from '../types/step.js';
import { isPlainObject } from '../wire/plain-object.js';
import { checkKnown, type OptionNames } from './known-options.js';
import {
  type NormalizedRetry,
  normalizeCallRetry,
  type RetryOptions,
  type TaskRetryOptions,
} from './retry.js';

/** Options that a task and each of its calls can have; a call's win. */
export interface CallOptions {
  /** Default: the app's `routes`, else `'default'`. Letters, digits, `_`, `.` and `-`, at most 100. */
  queue?: string | undefined;
  /** A smaller number runs first; 0, the default, before all others. Whole numbers from 0 to 2,097,151. */
  priority?: number | undefined;
  /** Default: no retry. */
  retry?: RetryOptions | undefined;
  /**
   * Longest time of one attempt. Then `ctx.signal` is aborted and the attempt has failed with a `TimeLimitError`,
   * whatever the handler does; what it gives later is ignored. Default: no limit.
   */
  timeout?: Duration | undefined;
  /**
   * A job that was not started this long after it was sent, or by this time, never runs: its state is `expired`. For a
   * step of a composition it counts from the sending of the whole. Default: never.
   */
  expires?: Duration | Date | undefined;
}

/** Which calls of a task are the same; of those, one runs. For calls sent on their own, not for steps. */
export interface DeduplicationOptions<In = unknown> {
  /**
   * While a call waits or runs, further ones of the same key are not added: their handles are those of the first.
   * With `for`, until that time has passed since the first, whether it has ended or not. With `until: 'started'`, only
   * while it waits: one that comes once its handler has begun is added, so that no change is missed.
   */
  unique?: true | UniqueOptions<In> | undefined;
  /** At most one call of the same key in each `for`: the first one runs. */
  throttle?: ThrottleOptions<In> | undefined;
  /**
   * The last call of the same key runs, once none has come for the time `for`; with `maxWait`, at the latest that long
   * after the first.
   */
  debounce?: DebounceOptions<In> | undefined;
}

type CallKey<In> = string | ((input: In) => string);

export interface UniqueOptions<In = unknown> {
  for?: Duration | undefined;
  key?: CallKey<In> | undefined;
  /** Default `'ended'`. Not together with `for`. */
  until?: 'ended' | 'started' | undefined;
}

export interface ThrottleOptions<In = unknown> {
  for: Duration;
  key?: CallKey<In> | undefined;
}

export interface DebounceOptions<In = unknown> {
  for: Duration;
  key?: CallKey<In> | undefined;
  /** Longest wait since the first call, at least `for`. Default: no limit, so that calls without a pause never run. */
  maxWait?: Duration | undefined;
}

/** Options of a task that hold for each of its calls. */
export interface TaskOptions<In = unknown>
  extends Omit<CallOptions, 'retry' | 'expires'>,
    DeduplicationOptions<In> {
  retry?: TaskRetryOptions | undefined;
  expires?: Duration | undefined;
}

/** Options of one signature; they win over its task's. */
export interface SignatureOptions extends CallOptions {
  /** Wait before the job may start, counted from the moment it could otherwise start. */
  countdown?: Duration | undefined;
  /** Text that travels with the call and is no part of its input: a trace, a tenant. The handler finds it in `ctx.headers`. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** A name for people, shown where the job is listed. Default: the task's name. At most 200 characters. */
  displayName?: string | undefined;
  /** Labels to search and revoke by. They add up: those of a composition are on every step of it. At most 20 of 200 characters. */
  tags?: readonly string[] | undefined;
}

/** A failure as a `linkError` callback receives it. */
export interface FailureRecord {
  /** The task that failed; in a composition, the first step that did. */
  task: string;
  jobId: string;
  /** Attempts that were made. */
  attempts: number;
  /** Of `chunks`: which of all the inputs its handler failed at. */
  index?: number;
  error: { name: string; message: string; code?: string | number };
  /** Of a group: the failures in it by then, also in groups in it, if there are several; at most 100. */
  failures?: FailureRecord[];
}

/** How a step ended, as plain data: what `group.settled` gives of each member, and a `finally` callback receives. */
export type StepOutcome<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly error: FailureRecord };

/** Options of one sending. */
export interface SendOptions<Out = unknown> extends SignatureOptions, DeduplicationOptions {
  /** Earliest start. Not together with `countdown`. */
  eta?: Date | undefined;
  /**
   * Makes the sending safe to repeat: the same key and the same input give the same job, as long as the store holds it.
   * At most 1,000 characters.
   */
  idempotencyKey?: string | undefined;
  /** Sent once with the result as input, after success. A callback that fails does not change the result. */
  link?: Step<string, Out, unknown> | readonly Step<string, Out, unknown>[] | undefined;
  /** Sent once with a `FailureRecord` as input, after the final failure; not if the call was revoked. */
  linkError?:
    | Step<string, FailureRecord, unknown>
    | readonly Step<string, FailureRecord, unknown>[]
    | undefined;
  /** The result is not stored: `get()` gives `null` once the job has ended. Default false. */
  ignoreResult?: boolean | undefined;
  /** The context of the handler that sends this call: sets `ctx.parentId` and `ctx.rootId` of what it sends. */
  parent?: Pick<TaskContext, 'id' | 'rootId'> | undefined;
  /** How long sending is tried again while the store cannot be reached. Default: the app's `sendTimeout`. */
  sendTimeout?: Duration | undefined;
}

/** Options of a sending of many calls; they hold for each. */
export type BulkOptions = SignatureOptions &
  Pick<SendOptions, 'eta' | 'ignoreResult' | 'parent' | 'sendTimeout'>;

/** Options as plain data, checked, with times in milliseconds. */
export interface NormalizedOptions {
  readonly queue?: string;
  readonly priority?: number;
  readonly delayMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly displayName?: string;
  /** Without repetition. */
  readonly tags?: readonly string[];
  readonly retry?: NormalizedRetry;
  readonly timeoutMs?: number;
  /** Counted from the sending. */
  readonly expiresMs?: number;
  /** In milliseconds since 1970. */
  readonly expiresAt?: number;
}

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

/** Those of a signature, which `set` takes. */
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

/** Those of a sending of many calls. */
export const BULK_OPTIONS: OptionNames<BulkOptions> = {
  ...SIGNATURE_OPTIONS,
  eta: true,
  ignoreResult: true,
  parent: true,
  sendTimeout: true,
};

/** BullMQ keeps priorities in 21 bits. */
const MAX_PRIORITY = 2 ** 21 - 1;
export const MAX_DISPLAY_NAME = 200;
const MAX_TAGS = 20;
const MAX_TAG = 200;
const NAME = /^[A-Za-z0-9_.-]{1,100}$/;
const PREFIX = /^[A-Za-z0-9_.:{}-]{1,200}$/;

/**
 * Options with names checked and times turned into milliseconds; only what was given is set.
 * @throws {InvalidOptionError} at the first option with a value it cannot have.
 */
export function normalizeOptions(
  options: SignatureOptions & Pick<SendOptions, 'eta'>,
  now: number,
  known: Readonly<Record<string, true>> = OPTIONS,
): NormalizedOptions {
  if (Object.keys(options).length === 0) return NO_OPTIONS;
  checkKnown(options, known);
  const { queue, priority, countdown, eta, headers, displayName, tags, retry, timeout, expires } = options;
  return {
    ...(queue !== undefined && { queue: checkQueue('queue', queue) }),
    ...(priority !== undefined && { priority: checkPriority(priority) }),
    ...delayOf(countdown, eta, now),
    ...(headers !== undefined && { headers: checkHeaders(headers) }),
    ...(displayName !== undefined && {
      displayName: checkText('displayName', displayName, MAX_DISPLAY_NAME),
    }),
    ...(tags !== undefined && { tags: checkTags(tags) }),
    ...(retry !== undefined && { retry: normalizeCallRetry(retry) }),
    ...(timeout !== undefined && { timeoutMs: positiveMs(timeout, 'timeout') }),
    ...(expires !== undefined && expiryOf(expires)),
  };
}

/**
 * Options with others over them; tags add up.
 * @throws {InvalidOptionError} if there are too many tags then.
 */
export function mergeOptions(
  below: NormalizedOptions = NO_OPTIONS,
  above: NormalizedOptions,
): NormalizedOptions {
  if (above === NO_OPTIONS) return below;
  const merged = { ...withoutExpiry(below, above), ...above };
  const { headers, tags } = below;
  return {
    ...merged,
    ...(headers !== undefined &&
      above.headers !== undefined && { headers: { ...headers, ...above.headers } }),
    ...(tags !== undefined && above.tags !== undefined && { tags: checkTags([...tags, ...above.tags]) }),
  };
}

/** An expiry is a time or a moment; one of either kind takes the place of the other. */
function withoutExpiry(below: NormalizedOptions, above: NormalizedOptions): NormalizedOptions {
  if (above.expiresMs === undefined && above.expiresAt === undefined) return below;
  const { expiresMs: _time, expiresAt: _moment, ...others } = below;
  return others;
}

/** The options with `expires` as a moment, for a job that is sent now. */
export function resolveExpiry(options: NormalizedOptions, now: number): NormalizedOptions {
  if (options.expiresMs === undefined) return options;
  const { expiresMs, ...others } = options;
  return others.expiresAt === undefined ? { ...others, expiresAt: now + expiresMs } : others;
}

/** A copy of the headers. @throws {InvalidOptionError} unless every one is text, and none is called `__proto__`. */
export function checkHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (!isPlainObject(headers))
    throw new InvalidOptionError('headers', 'an object whose values are text', headers);
  const wrong = Object.entries(headers).find(([, value]) => typeof value !== 'string');
  if (wrong !== undefined) throw new InvalidOptionError(`headers.${wrong[0]}`, 'text', wrong[1]);
  if (Object.hasOwn(headers, '__proto__'))
    throw new InvalidOptionError('headers', 'an object without a key "__proto__" of its own', headers);
  return { ...headers };
}

/** The tags, each once. @throws {InvalidOptionError} unless they are few enough texts of the right length. */
export function checkTags(tags: readonly string[]): readonly string[] {
  if (!Array.isArray(tags)) throw new InvalidOptionError('tags', 'a list of texts', tags);
  const unique = new Set<string>();
  for (const tag of tags as string[]) unique.add(checkText('tags', tag, MAX_TAG));
  if (unique.size > MAX_TAGS) throw new InvalidOptionError('tags', `at most ${MAX_TAGS} texts`, unique.size);
  return [...unique];
}

/** `queue` itself. @throws {InvalidOptionError} if it cannot be the name of a user's queue. */
export function checkQueue(option: string, queue: string): string {
  if (queue === INTERNAL_QUEUE) {
    throw new InvalidOptionError(
      option,
      `another name than "${INTERNAL_QUEUE}", which Umbel keeps for itself`,
      queue,
    );
  }
  return checkName(option, queue);
}

/** Whether an app, a queue or a task can have this name. */
export function isName(name: unknown): boolean {
  return typeof name === 'string' && NAME.test(name);
}

/** `name` itself. @throws {InvalidOptionError} if it cannot be the name of an app, a queue or a task. */
export function checkName<Name extends string>(option: string, name: Name): Name {
  if (!isName(name)) {
    throw new InvalidOptionError(option, '1 to 100 letters, digits, "_", "." or "-"', name);
  }
  return name;
}

/** `prefix` itself. @throws {InvalidOptionError} if the keys in a store cannot begin so. */
export function checkPrefix(prefix: string): string {
  if (typeof prefix !== 'string' || !PREFIX.test(prefix)) {
    throw new InvalidOptionError(
      'prefix',
      '1 to 200 letters, digits, "_", ".", "-", ":", "{" or "}"',
      prefix,
    );
  }
  return prefix;
}

/** `priority` itself. @throws {InvalidOptionError} unless it is one that the store can keep. */
export function checkPriority(priority: number): number {
  return checkInteger('priority', priority, 0, MAX_PRIORITY);
}

/** `value` itself. @throws {InvalidOptionError} unless it is a whole number within the bounds. */
export function checkInteger(option: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InvalidOptionError(option, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

/** `value` itself. @throws {InvalidOptionError} unless it is true or false. */
export function checkBoolean(option: string, value: boolean): boolean {
  if (typeof value !== 'boolean') throw new InvalidOptionError(option, 'true or false', value);
  return value;
}

/** `text` itself. @throws {InvalidOptionError} unless it is text of 1 to `max` characters. */
export function checkText(option: string, text: string, max: number): string {
  if (typeof text !== 'string' || text.length === 0 || text.length > max) {
    throw new InvalidOptionError(option, `text of 1 to ${max} characters`, text);
  }
  return text;
}

/** @throws {InvalidOptionError} unless the time is more than zero. */
export function positiveMs(duration: Duration, option: string): number {
  const value = durationMs(duration, option);
  if (value === 0) throw new InvalidOptionError(option, 'a time of more than zero', duration);
  return value;
}

function delayOf(countdown: Duration | undefined, eta: Date | undefined, now: number): { delayMs?: number } {
  if (countdown !== undefined && eta !== undefined) {
    throw new InvalidOptionError('eta', 'absent when `countdown` is given', eta);
  }
  if (countdown !== undefined) return { delayMs: durationMs(countdown, 'countdown') };
  if (eta === undefined) return {};
  return { delayMs: Math.max(0, timeOf(eta, 'eta') - now) };
}

function expiryOf(expires: Duration | Date): Pick<NormalizedOptions, 'expiresMs' | 'expiresAt'> {
  return expires instanceof Date
    ? { expiresAt: timeOf(expires, 'expires') }
    : { expiresMs: positiveMs(expires, 'expires') };
}

function timeOf(date: Date, option: string): number {
  if (!(date instanceof Date) || Number.isNaN(date.getTime())) {
    throw new InvalidOptionError(option, 'a valid Date', date);
  }
  return date.getTime();
}
