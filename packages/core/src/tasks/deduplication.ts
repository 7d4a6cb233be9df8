import { createHash } from 'node:crypto';
import { InvalidOptionError } from '../errors.js';
import { checkOptions, type OptionNames } from './known-options.js';
import { checkText, type DeduplicationOptions, positiveMs } from './options.js';

/** Which calls are the same and what becomes of them. */
export interface Deduplication {
  readonly mode: 'unique' | 'throttle' | 'debounce';
  /** Absent: until the first one has ended. */
  readonly forMs?: number;
  readonly key?: string | ((input: never) => string);
}

const MODES = ['unique', 'throttle', 'debounce'] as const;
const OPTIONS: Readonly<Record<Deduplication['mode'], OptionNames<{ for: unknown; key: unknown }>>> = {
  unique: { for: true, key: true },
  throttle: { for: true, key: true },
  debounce: { for: true, key: true },
};

/**
 * The one of the three that is given.
 * @throws {InvalidOptionError} if more than one is, or a value is of the wrong kind.
 */
export function normalizeDeduplication(options: DeduplicationOptions<never>): Deduplication | undefined {
  const { unique, throttle, debounce } = options;
  if (unique === undefined && throttle === undefined && debounce === undefined) return undefined;
  const given = MODES.filter((mode) => options[mode] !== undefined);
  const [mode, other] = given;
  if (mode === undefined) return undefined;
  if (other !== undefined)
    throw new InvalidOptionError(other, `absent when \`${mode}\` is given`, options[other]);
  const own = options[mode];
  if (own !== true) checkOptions(own as object, OPTIONS[mode], { option: mode, above: `${mode}.` });
  const { for: time, key } = {
    for: undefined,
    key: undefined,
    ...(own === true ? {} : own),
  };
  if (key !== undefined && typeof key !== 'function') checkText(`${mode}.key`, key, 1000);
  if (time === undefined && mode !== 'unique') throw new InvalidOptionError(`${mode}.for`, 'a time', time);
  return {
    mode,
    ...(time !== undefined && { forMs: positiveMs(time, `${mode}.for`) }),
    ...(key !== undefined && { key }),
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

/** JSON with sorted keys: the order in which an object was written is no difference. */
function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_, item: unknown) =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
        : item,
    ) ?? ''
  );
}
