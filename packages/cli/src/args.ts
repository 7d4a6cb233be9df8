/** Text of flags, environment and configuration as values. */
import { InvalidArgumentError } from 'commander';

export type Concurrency = number | { readonly min: number; readonly max: number };

/** Queues to serve, and the concurrency of those that name one. */
export type QueueList = readonly { readonly queue: string; readonly concurrency?: Concurrency }[];

const DURATION = /^\d+(?:\.\d+)?\s?(?:ms|s|m|h|d|w)$/;

/** A reader of whole numbers within bounds. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    const upTo = max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : ` from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a whole number${upTo}.`);
  };
}

/** `'30s'`, `'10m'`; a number without a unit could mean anything, unless it is 0. */
export function duration(text: string): string {
  if (text === '0' || DURATION.test(text)) return text;
  throw new InvalidArgumentError("Expected a time with its unit, such as '500ms', '30s', '10m' or '1h'.");
}

/** The same, or `false` for none. */
export function durationOrNone(text: string): string | false {
  return text === 'none' ? false : duration(text);
}

/** `'20'`, or `'5..50'` for bounds. */
export function concurrency(text: string): Concurrency {
  const bounds = /^(\d+)\.\.(\d+)$/.exec(text);
  const fail = () => new InvalidArgumentError("Expected a number such as '20', or bounds such as '5..50'.");
  if (bounds === null) {
    if (!/^[1-9]\d*$/.test(text)) throw fail();
    return Number(text);
  }
  const [min, max] = [Number(bounds[1]), Number(bounds[2])];
  if (min < 1 || max < min) throw fail();
  return { min, max };
}

/** `'default,email=20,reports=1..4'`; given several times, the lists add up. */
export function queueList(text: string, before: QueueList = []): QueueList {
  const parts = text.split(',').map((part) => part.trim());
  const own = parts.map((part) => {
    const [queue = '', count, ...more] = part.split('=');
    if (queue === '' || more.length > 0)
      throw new InvalidArgumentError("Expected names such as 'default,email', or 'email=20,default'.");
    return { queue, ...(count !== undefined && { concurrency: concurrency(count) }) };
  });
  return [...before, ...own];
}

/** `'auto'` or a number. */
export function processCount(text: string): number | 'auto' {
  return text === 'auto' ? 'auto' : integer(1, 1024)(text);
}

/** A moment as ISO 8601 text; with a time it needs its zone. */
export function moment(text: string): Date {
  const isClear = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const date = new Date(text);
  if (isClear && !Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError("Expected a moment with its zone, such as '2030-01-31T08:00:00Z'.");
}

/** `'key=value'`; given several times, they add up. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError("Expected 'name=value'.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Given several times, they add up. */
export function list(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
