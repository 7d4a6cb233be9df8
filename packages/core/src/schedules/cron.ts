/** Cron expressions, by the library that BullMQ uses too. */
import { type CronExpression, CronExpressionParser } from 'cron-parser';
import { firstMoment, offsetAt } from './calendar.js';

/** A cron expression, and what it is read with. */
export interface Cron {
  readonly cron: string;
  readonly tz: string;
  /** What an `H` in the expression stands for follows from this. */
  readonly seed: string;
}

const ALIAS = /^@(yearly|annually|monthly|weekly|daily|hourly|minutely|secondly|weekdays|weekends)$/;
/** Reading one takes as long as finding a slot, about a quarter of a millisecond. */
const KEPT = 500;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LOOK_BACK_MS = 3 * HOUR_MS;
const MAX_SHIFTS_MS = 1000 * DAY_MS;

/** An expression, and the last answer: a schedule asks for the same slot several times in a row. */
interface ReadCron {
  readonly expression: CronExpression;
  asked?: { readonly after: number; readonly at: number | undefined };
}

const read = new Map<string, ReadCron>();
const sound = new Set<string>();

/** Why the text is no cron expression, or undefined if it is one. */
export function cronFault(cron: string): string | undefined {
  if (sound.has(cron)) return undefined;
  const fields = cron.trim().split(/\s+/);
  const isAlias = fields.length === 1 && ALIAS.test(fields[0] ?? '');
  // The library fills in fields that are missing.
  if (!isAlias && fields.length !== 5 && fields.length !== 6) return 'five fields, or six with seconds first';
  try {
    CronExpressionParser.parse(cron, { tz: 'UTC', hashSeed: 'any' }).next();
    if (sound.size >= KEPT) sound.clear();
    sound.add(cron);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The first moment of the expression that is later than `after`; undefined if there is none. */
export function nextOfCron(cron: Cron, after: number): number | undefined {
  const known = readOf(cron);
  if (known === undefined) return undefined;
  if (known.asked?.after !== after) known.asked = { after, at: nextOf(known.expression, cron.tz, after) };
  return known.asked.at;
}

function nextOf(expression: CronExpression, tz: string, after: number): number | undefined {
  const direct = nextAfter(expression, after, after) ?? nextAfterShifts(expression, tz, after);
  if (direct === undefined || direct <= after + 1000) return direct; // nothing can be before
  const shift = shiftBefore(tz, after);
  if (shift === undefined) return direct;
  // Of times that a shift of the clocks has skipped, the library gives only those of one walk through them.
  return Math.min(direct, nextAfter(expression, shift - 1, after) ?? direct);
}

function nextAfter(expression: CronExpression, from: number, after: number): number | undefined {
  try {
    expression.reset(new Date(from));
    for (;;) {
      const at = expression.next().getTime();
      if (at > after) return at;
    }
  } catch {
    return undefined;
  }
}

/**
 * The library does not get past the moment when clocks are set back by half an hour, as on Lord Howe Island, and takes
 * a second to notice. A slot within that hour is left out.
 */
function nextAfterShifts(expression: CronExpression, tz: string, after: number): number | undefined {
  for (let shift = shiftAfter(tz, after); shift !== undefined; shift = shiftAfter(tz, shift)) {
    const at = nextAfter(expression, shift + HOUR_MS, after);
    if (at !== undefined || shift - after > MAX_SHIFTS_MS) return at;
  }
  return undefined;
}

/** When the clocks are set to another time next, within a year. */
function shiftAfter(tz: string, at: number): number | undefined {
  const offset = offsetAt(tz, at);
  for (let day = at + DAY_MS; day < at + 366 * DAY_MS; day += DAY_MS) {
    if (offsetAt(tz, day) !== offset)
      return firstMoment(day - DAY_MS, day, (moment) => offsetAt(tz, moment) !== offset);
  }
  return undefined;
}

/** When the clocks were set forward, if they were by more than the time since then. */
function shiftBefore(tz: string, at: number): number | undefined {
  const earlier = offsetAt(tz, at - LOOK_BACK_MS);
  const skipped = offsetAt(tz, at) - earlier;
  if (skipped <= 0) return undefined;
  const shift = firstMoment(at - LOOK_BACK_MS, at, (moment) => offsetAt(tz, moment) !== earlier);
  return at < shift + skipped ? shift : undefined;
}

/** Undefined for one that cannot be read. */
function readOf({ cron, tz, seed }: Cron): ReadCron | undefined {
  const key = JSON.stringify([cron, tz, seed]);
  let known = read.get(key);
  if (known === undefined) {
    if (read.size >= KEPT) read.clear();
    try {
      known = { expression: CronExpressionParser.parse(cron, { tz, hashSeed: seed }) };
    } catch {
      return undefined;
    }
    read.set(key, known);
  }
  return known;
}
