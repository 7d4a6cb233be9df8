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
/** Reading one takes longer than finding a slot. */
const KEPT = 500;
const LOOK_BACK_MS = 3 * 3_600_000;

const read = new Map<string, CronExpression>();
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
  const direct = nextAfter(cron, after, after);
  if (direct === undefined || direct <= after + 1000) return direct; // nothing can be before
  const shift = shiftBefore(cron.tz, after);
  if (shift === undefined) return direct;
  // Of times that a shift of the clocks has skipped, the library gives only those of one walk through them.
  return Math.min(direct, nextAfter(cron, shift - 1, after) ?? direct);
}

function nextAfter(cron: Cron, from: number, after: number): number | undefined {
  try {
    const expression = expressionOf(cron);
    expression.reset(new Date(from));
    for (;;) {
      const at = expression.next().getTime();
      if (at > after) return at;
    }
  } catch {
    return undefined; // there is none within the years that the library looks at
  }
}

/** When the clocks were set forward, if they were by more than the time since then. */
function shiftBefore(tz: string, at: number): number | undefined {
  const earlier = offsetAt(tz, at - LOOK_BACK_MS);
  const skipped = offsetAt(tz, at) - earlier;
  if (skipped <= 0) return undefined;
  const shift = firstMoment(at - LOOK_BACK_MS, at, (moment) => offsetAt(tz, moment) !== earlier);
  return at < shift + skipped ? shift : undefined;
}

function expressionOf({ cron, tz, seed }: Cron): CronExpression {
  const key = JSON.stringify([cron, tz, seed]);
  let expression = read.get(key);
  if (expression === undefined) {
    if (read.size >= KEPT) read.clear();
    expression = CronExpressionParser.parse(cron, { tz, hashSeed: seed });
    read.set(key, expression);
  }
  return expression;
}
