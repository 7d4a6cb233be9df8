/** Deduplication of calls: checks the options, and computes the ids under which the store recognises equal calls. */

import { InvalidOptionError } from '../base/errors.js';
import { checkOptions, checkText, type OptionNames, positiveMs } from '../base/option-checks.js';
import { canonicalJson } from '../codec/json.js';
import { digestId } from '../job/ids.js';
import type { DebounceOptions, DeduplicationOptions, ThrottleOptions, UniqueOptions } from './options.js';

/** The checked deduplication options of a task or a call. */
export interface Deduplication {
  readonly mode: 'unique' | 'throttle' | 'debounce';
  /** Absent: until the first call has ended. */
  readonly forMs?: number;
  readonly key?: string | ((input: never) => string);
  /** For `unique`: deduplication ends when the first call has started. */
  readonly until?: 'started';
  /** For `debounce`: the longest wait since the first call. */
  readonly maxWaitMs?: number;
}

const MODES = ['unique', 'throttle', 'debounce'] as const;
/** The options of all three modes. */
type ModeOptions = UniqueOptions<never> & Pick<DebounceOptions<never>, 'maxWait'>;

const UNIQUE: OptionNames<UniqueOptions> = { for: true, key: true, until: true };
const THROTTLE: OptionNames<ThrottleOptions> = { for: true, key: true };
const DEBOUNCE: OptionNames<DebounceOptions> = { for: true, key: true, maxWait: true };
const OPTIONS = { unique: UNIQUE, throttle: THROTTLE, debounce: DEBOUNCE };

/**
 * Returns the checked mode and its options, or undefined if no mode is set.
 * @throws {InvalidOptionError} if more than one mode is set, or a value is invalid.
 */
export function normalizeDeduplication(options: DeduplicationOptions<never>): Deduplication | undefined {
  const { unique, throttle, debounce } = options;
  if (unique === undefined && throttle === undefined && debounce === undefined) return undefined;
  const [mode, other] = MODES.filter((each) => options[each] !== undefined);
  if (mode === undefined) return undefined;
  if (other !== undefined)
    throw new InvalidOptionError(other, `absent when \`${mode}\` is given`, options[other]);
  const value = options[mode];
  const modeOptions: ModeOptions = value === true || value === undefined ? {} : value;
  const names: Readonly<Record<string, true>> = OPTIONS[mode];
  checkOptions(modeOptions, names as OptionNames<ModeOptions>, { option: mode, above: `${mode}.` }); // the names of this mode
  const { for: time, key, until, maxWait } = modeOptions;
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

/** Returns the id that equal calls share in the store: a hash of the task and the key, by default of the whole input. */
export function deduplicationId(task: string, { mode, key }: Deduplication, input: unknown): string {
  const callKey = typeof key === 'function' ? key(input as never) : (key ?? canonicalJson(input));
  if (typeof callKey !== 'string')
    throw new InvalidOptionError(`${mode}.key`, 'a function that returns text', callKey);
  return digest(task, callKey);
}

/** Returns the job id of a call with an idempotency key. It is hashed, because a queue does not accept every text as id. */
export function idempotentId(task: string, key: string): string {
  return `key-${digest(task, key)}`;
}

/** Returns a hash of the input, to recognise a different input that is sent with the same key. */
export function inputDigest(input: unknown): string {
  return digest(canonicalJson(input));
}

function digest(...parts: string[]): string {
  return digestId(JSON.stringify(parts), 32);
}
