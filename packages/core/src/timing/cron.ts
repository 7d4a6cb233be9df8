/**
 * Reads cron expressions. `cron-parser`, which BullMQ uses too, parses and checks them; their occurrences are computed in
 * `timing.ts`.
 */
import { CronExpressionParser } from 'cron-parser';

/** A cron expression, and the seed for its `H` fields. */
export interface Cron {
  readonly cron: string;
  /** Determines the values of `H` in the expression. */
  readonly seed: string;
}

/** The values that the fields of an expression allow. Lists are sorted and not empty. */
export interface CronFields {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** 1 is January. */
  readonly months: ReadonlySet<number>;
  readonly daysOfMonth: DaysOfMonth;
  readonly weekdays: Weekdays;
}

interface DaysOfMonth {
  /** The field is `*` or `?`, so only weekdays are restricted. */
  readonly isAny: boolean;
  readonly days: ReadonlySet<number>;
  /** `L` */
  readonly hasLast: boolean;
}

/** 0 is Sunday. */
interface Weekdays {
  /** The field is `*` or `?`, so only days of the month are restricted. */
  readonly isAny: boolean;
  readonly days: ReadonlySet<number>;
  /** `5#3`: only the third Friday of a month. 0: every one. */
  readonly nth: number;
  /** `5L`: the last Friday of a month. */
  readonly last: ReadonlySet<number>;
}

const ALIAS = /^@(yearly|annually|monthly|weekly|daily|hourly|minutely|secondly|weekdays|weekends)$/;
/** Number of cached expressions. Reading one takes about a tenth of a millisecond. */
const MAX_CACHED = 500;
/** The limit of the library. It also limits the size of the cache. */
const MAX_LENGTH = 1024;

/** The error for an expression such as `0 0 31 4,6 *`. */
export const NEVER_OCCURS = 'it never occurs: no allowed month has an allowed day';
/** The library's message for some of these expressions. */
const HAS_NO_DAY = /^Invalid explicit day of month/;

const cache = new Map<string, CronFields | Error>();

/** Returns the fields of an expression. @throws {Error} with the reason if it is not a cron expression. */
export function readCron({ cron, seed }: Cron): CronFields {
  const text = cron.trim();
  if (text.length > MAX_LENGTH) throw new Error(`at most ${MAX_LENGTH} characters`);
  const key = text.includes('H') ? JSON.stringify([text, seed]) : text;
  let known = cache.get(key);
  if (known === undefined) {
    if (cache.size >= MAX_CACHED) cache.clear();
    known = parsed(text, seed);
    cache.set(key, known);
  }
  if (known instanceof Error) throw known;
  return known;
}

/** Returns the reason why the text is not a cron expression, or undefined if it is one. */
export function cronFault(cron: Cron): string | undefined {
  try {
    readCron(cron);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function parsed(text: string, seed: string): CronFields | Error {
  const isAlias = ALIAS.test(text);
  const written = text.split(/\s+/);
  // The library would add missing fields.
  if (!isAlias && written.length !== 5 && written.length !== 6)
    return new Error('five fields, or six with seconds first');
  try {
    return fieldsOf(text, seed);
  } catch (error) {
    const range = isAlias ? undefined : partsOf(written).map(reversedRange).find(Boolean);
    if (range !== undefined) return new Error(range);
    if (!(error instanceof Error)) return new Error(String(error));
    return HAS_NO_DAY.test(error.message) ? new Error(NEVER_OCCURS) : error;
  }
}

function fieldsOf(text: string, seed: string): CronFields {
  const { fields } = CronExpressionParser.parse(text, { tz: 'UTC', hashSeed: seed });
  const { dayOfMonth, dayOfWeek } = fields;
  // Sunday is 0 and 7.
  const weekdays = dayOfWeek.values.map((value) => Number.parseInt(String(value), 10) % 7);
  return {
    seconds: numbersOf(fields.second.values),
    minutes: numbersOf(fields.minute.values),
    hours: numbersOf(fields.hour.values),
    months: new Set(numbersOf(fields.month.values)),
    daysOfMonth: {
      isAny: dayOfMonth.isWildcard,
      days: new Set(numbersOf(dayOfMonth.values)),
      hasLast: dayOfMonth.hasLastChar,
    },
    weekdays: {
      isAny: dayOfWeek.isWildcard,
      days: new Set(numbersOf(dayOfWeek.values).map((day) => day % 7)),
      nth: dayOfWeek.nthDay,
      last: new Set(dayOfWeek.hasLastChar ? weekdays : []),
    },
  };
}

function numbersOf(values: readonly (number | string)[]): number[] {
  return values.filter((value) => typeof value === 'number');
}

interface FieldRange {
  readonly name: string;
  readonly min: number;
  /** The largest value; a weekday may also be 7. */
  readonly max: number;
  readonly names?: readonly string[];
}

const FIELDS: readonly FieldRange[] = [
  { name: 'second', min: 0, max: 59 },
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day of month', min: 1, max: 31 },
  {
    name: 'month',
    min: 1,
    max: 12,
    names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  },
  { name: 'day of week', min: 0, max: 6, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
];

/** Returns the comma-separated parts of an expression, with their fields. */
function partsOf(written: readonly string[]): { part: string; field: FieldRange }[] {
  return FIELDS.slice(FIELDS.length - written.length).flatMap((field, index) =>
    (written[index] ?? '').split(',').map((part) => ({ part, field })),
  );
}

/** Returns the error, with a correction, for a range past the end of its field, such as `22-2` or `fri-mon`. */
function reversedRange({ part, field }: { part: string; field: FieldRange }): string | undefined {
  const [, first = '', last = '', step] = /^(\w+)-(\w+)(?:\/(\d+))?$/.exec(part) ?? [];
  const from = fieldValue(first, field);
  const to = fieldValue(last, field);
  if (from === undefined || to === undefined || from <= to) return undefined;
  const problem = `the range ${part} in the ${field.name} field runs past its end`;
  if (step !== undefined) return `${problem}: list the values`;
  const tail = from === field.max ? `${from}` : `${from}-${field.max}`;
  const head = field.min === to ? `${to}` : `${field.min}-${to}`;
  return `${problem}: write ${tail},${head}`;
}

function fieldValue(text: string, { min, max, names = [] }: FieldRange): number | undefined {
  const index = names.indexOf(text.toLowerCase());
  const value = index === -1 ? Number(text) : index + min;
  return Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}

/**
 * Returns the error for a step that is longer than its field. Such an expression is valid, but 90 in the minute field would
 * mean hourly.
 */
export function stepFault(cron: string): string | undefined {
  for (const { part, field } of partsOf(cron.trim().split(/\s+/))) {
    const step = Number(/\/(\d+)$/.exec(part)?.[1] ?? 1);
    const maxStep = field.max - field.min + 1;
    if (step <= maxStep) continue;
    const unit = INTERVAL_UNITS[field.name];
    const instead =
      unit === undefined ? '' : `; for an interval, use \`every: '${step}${unit}'\` instead of \`cron\``;
    return `a step in the ${field.name} field is at most ${maxStep}, not ${step}${instead}`;
  }
  return undefined;
}

const INTERVAL_UNITS: Readonly<Record<string, string>> = { second: 's', minute: 'm', hour: 'h' };
