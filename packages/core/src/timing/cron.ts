/**
 * This module reads cron expressions. The library that BullMQ uses too takes them apart and checks them; when an
 * expression occurs is not asked of the library, see `occurrences.ts`.
 */
import { CronExpressionParser } from 'cron-parser';

/** A cron expression, and what it is read with. */
export interface Cron {
  readonly cron: string;
  /** An `H` in the expression stands for values that follow from this. */
  readonly seed: string;
}

/** What the fields of an expression allow. Lists are in order and not empty. */
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
  /** Written as `*` or `?`: weekdays alone decide. */
  readonly isAny: boolean;
  readonly days: ReadonlySet<number>;
  /** `L` */
  readonly hasLast: boolean;
}

/** 0 is Sunday. */
interface Weekdays {
  /** Written as `*` or `?`: days of the month alone decide. */
  readonly isAny: boolean;
  readonly days: ReadonlySet<number>;
  /** `5#3`: only the third of a month; 0: each. */
  readonly nth: number;
  /** `5L`: the last of a month. */
  readonly last: ReadonlySet<number>;
}

const ALIAS = /^@(yearly|annually|monthly|weekly|daily|hourly|minutely|secondly|weekdays|weekends)$/;
/** Expressions that were read are kept, since reading one takes about a tenth of a millisecond. */
const MAX_KEPT = 500;
/** As the library has it; nothing longer is kept. */
const MAX_LENGTH = 1024;

/** Why an expression such as `0 0 31 4,6 *` is refused. */
export const NEVER_OCCURS = 'it never occurs: no month that it allows has a day that it allows';
/** The library says so of some. */
const HAS_NO_DAY = /^Invalid explicit day of month/;

const read = new Map<string, CronFields | Error>();

/** What the expression allows. @throws {Error} that says why it is no cron expression. */
export function readCron({ cron, seed }: Cron): CronFields {
  const text = cron.trim();
  if (text.length > MAX_LENGTH) throw new Error(`at most ${MAX_LENGTH} characters`);
  const key = text.includes('H') ? JSON.stringify([text, seed]) : text;
  let known = read.get(key);
  if (known === undefined) {
    if (read.size >= MAX_KEPT) read.clear();
    known = parsed(text, seed);
    read.set(key, known);
  }
  if (known instanceof Error) throw known;
  return known;
}

/** Why the text is no cron expression, or undefined if it is one. */
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
  // The library fills in fields that are missing.
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
  // A week has Sunday as 0 and as 7.
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
  /** Of values that are written; a weekday may be 7 as well. */
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

/** The parts of an expression between commas, with the ranges of their fields. */
function partsOf(written: readonly string[]): { part: string; field: FieldRange }[] {
  return FIELDS.slice(FIELDS.length - written.length).flatMap((field, index) =>
    (written[index] ?? '').split(',').map((part) => ({ part, field })),
  );
}

/** What to write instead of a range that runs past the end of its field, such as `22-2` or `fri-mon`. */
function reversedRange({ part, field }: { part: string; field: FieldRange }): string | undefined {
  const [, first = '', last = '', step] = /^(\w+)-(\w+)(?:\/(\d+))?$/.exec(part) ?? [];
  const from = fieldValue(first, field);
  const to = fieldValue(last, field);
  if (from === undefined || to === undefined || from <= to) return undefined;
  const says = `the range ${part} in the ${field.name} field runs past its end`;
  if (step !== undefined) return `${says}: list the values`;
  const pieces = [from, field.max, field.min, to];
  const [start, end, again, until] = pieces;
  const tail = start === end ? `${start}` : `${start}-${end}`;
  const head = again === until ? `${again}` : `${again}-${until}`;
  return `${says}: write ${tail},${head}`;
}

function fieldValue(text: string, { min, max, names = [] }: FieldRange): number | undefined {
  const index = names.indexOf(text.toLowerCase());
  const value = index === -1 ? Number(text) : index + min;
  return Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}

/**
 * Why an expression that can be read must not be declared: a step of it is longer than its field. Such a step counts
 * once, so that 90 in the minute field would mean hourly.
 */
export function stepFault(cron: string): string | undefined {
  for (const { part, field } of partsOf(cron.trim().split(/\s+/))) {
    const step = Number(/\/(\d+)$/.exec(part)?.[1] ?? 1);
    const most = field.max - field.min + 1;
    if (step <= most) continue;
    const every = EVERY[field.name];
    const instead =
      every === undefined ? '' : `; for an interval, give \`every: '${step}${every}'\` instead of \`cron\``;
    return `a step in the ${field.name} field is at most ${most}, not ${step}${instead}`;
  }
  return undefined;
}

/** Units of intervals. */
const EVERY: Readonly<Record<string, string>> = { second: 's', minute: 'm', hour: 'h' };
