import { createHash } from 'node:crypto';
import { InvalidOptionError } from '../base/errors.js';
import { checkOptions, checkText, type OptionNames, positiveMs } from '../base/option-checks.js';
import { canonicalJson } from '../codec/json.js';
import type { DebounceOptions, DeduplicationOptions, ThrottleOptions, UniqueOptions } from './options.js';

/** Which calls are the same and what becomes of them. */
export interface Deduplication {
  readonly mode: 'unique' | 'throttle' | 'debounce';
  /** Absent: until the first one has ended. */
  readonly forMs?: number;
  readonly key?: string | ((input: never) => string);
  /** Of `unique`: others are added once it has started. */
  readonly until?: 'started';
  /** Of `debounce`: the longest wait since the first call. */
  readonly maxWaitMs?: number;
}

const MODES = ['unique', 'throttle', 'debounce'] as const;
/** Options of any of them. */
type DeduplicationParts = UniqueOptions<never> & Pick<DebounceOptions<never>, 'maxWait'>;

const UNIQUE: OptionNames<UniqueOptions> = { for: true, key: true, until: true };
const THROTTLE: OptionNames<ThrottleOptions> = { for: true, key: true };
const DEBOUNCE: OptionNames<DebounceOptions> = { for: true, key: true, maxWait: true };
const OPTIONS = { unique: UNIQUE, throttle: THROTTLE, debounce: DEBOUNCE };

/**
 * The one of the three that is given.
 * @throws {InvalidOptionError} if more than one is, or a value is of the wrong kind.
 */
export function normalizeDeduplication(options: DeduplicationOptions<never>): Deduplication | undefined {
  const { unique, throttle, debounce } = options;
  if (unique === undefined && throttle === undefined && debounce === undefined) return undefined;
  const [mode, other] = MODES.filter((each) => options[each] !== undefined);
  if (mode === undefined) return undefined;
  if (other !== undefined)
    throw new InvalidOptionError(other, `absent when \`${mode}\` is given`, options[other]);
  const own = options[mode];
  const given: DeduplicationParts = own === true || own === undefined ? {} : own;
  const names: Readonly<Record<string, true>> = OPTIONS[mode];
  checkOptions(given, names as OptionNames<DeduplicationParts>, { option: mode, above: `${mode}.` }); // of one mode
  const { for: time, key, until, maxWait } = given;
  if (key !== undefined && typeof key !== 'function') checkText(`${mode}.key`, key, 1000);
  if (time === undefined && mode !== 'unique') throw new InvalidOptionError(`${mode}.for`, 'a time', time);
  if (until !== undefined && until !== 'started' && until !== 'ended')
    throw new InvalidOptionError('unique.until', "'started' or 'ended'", until);
  if (until !== undefined && time !== undefined)
    throw new InvalidOptionError('unique.until', 'absent when `for` is given', until);
  const forMs = time === undefined ? undefined : positiveMs(time, `${mode}.for`);
  const maxWaitMs = maxWait === undefined ? undefined : positiveMs(maxWait, 'debounce.maxWait');
  if (maxWaitMs !== undefined && forMs !== undefined && maxWaitMs < forMs)
    throw new InvalidOptionError('debounce.maxWait', 'at least as long as `for`', maxWait);
  return {
    mode,
    ...(forMs !== undefined && { forMs }),
    ...(key !== undefined && { key }),
    ...(until === 'started' && { until }),
    ...(maxWaitMs !== undefined && { maxWaitMs }),
  };
}

/** The id under which the store knows equal calls: of the task and its key, by default its whole input. */
export function deduplicationId(task: string, { mode, key }: Deduplication, input: unknown): string {
  const own = typeof key === 'function' ? key(input as never) : (key ?? canonicalJson(input));
  if (typeof own !== 'string') throw new InvalidOptionError(`${mode}.key`, 'a function that gives text', own);
  return digest(task, own);
}

/** The job's id for a call with an idempotency key. Hashed: some ids would break a queue. */
export function idempotentId(task: string, key: string): string {
  return `key-${digest(task, key)}`;
}

/** Tells inputs apart that come with the same key. */
export function inputDigest(input: unknown): string {
  return digest(canonicalJson(input));
}

function digest(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 32);
}
