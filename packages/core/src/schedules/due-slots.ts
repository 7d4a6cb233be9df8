/** Which slots are due, and what becomes of those that were missed. Pure. */
import { dueAt, latestSlots, type NamedTiming } from './timing.js';

/** What becomes of slots that were missed: the latest is fired, none, or each. */
export type CatchUp = 'one' | 'skip' | 'all';

/**
 * A slot that is fired later than this was missed: no worker ran. Longer than it takes by default until the work of a
 * worker that died is taken over, so that its slots are late, and not missed.
 */
export const MISSED_AFTER_MS = 60_000;
/** Of the slots that were missed, at most so many are fired. */
export const MAX_CATCH_UP = 1000;
/** Of those that are not fired, at most so many are counted: there may be millions. */
const MAX_COUNTED = 100;
/** As many slots as can be late, one a second, beside the missed ones. */
const MAX_LATE = (2 * MISSED_AFTER_MS) / 1000;

export interface DueSlots {
  /** To be fired, in order. */
  readonly fire: readonly number[];
  /** The missed ones that are not: how many (at most `MAX_COUNTED` are counted), and the latest. */
  readonly missed?: { readonly count: number; readonly latest: number };
  /** The latest of all these slots. */
  readonly last?: number;
}

/**
 * The slots after `last` that are due.
 *
 * Of missed ones, `one` fires the latest, unless a later slot is fired anyway; `all` at most the latest 1,000.
 */
export function dueSlots(named: NamedTiming, last: number, now: number, catchUp: CatchUp): DueSlots {
  const due: number[] = [];
  const limit = MAX_LATE + MAX_COUNTED + (catchUp === 'all' ? MAX_CATCH_UP : 1);
  for (const slot of latestSlots(named, last, now, limit)) {
    if (dueAt(named, slot) > now) break; // in order: the next ones wait for it
    due.push(slot);
  }
  const isMissed = (slot: number) => now - dueAt(named, slot) > MISSED_AFTER_MS;
  const onTime = due.filter((slot) => !isMissed(slot));
  const missed = due.filter(isMissed);
  const caughtUp = missed.slice(missed.length - numberOf(catchUp, missed.length, onTime.length > 0));
  const skipped = missed.slice(0, missed.length - caughtUp.length).slice(-MAX_COUNTED);
  const latest = skipped.at(-1);
  const latestDue = due.at(-1);
  return {
    fire: [...caughtUp, ...onTime],
    ...(latest !== undefined && { missed: { count: skipped.length, latest } }),
    ...(latestDue !== undefined && { last: latestDue }),
  };
}

function numberOf(catchUp: CatchUp, missed: number, hasLater: boolean): number {
  if (catchUp === 'skip' || (catchUp === 'one' && hasLater)) return 0;
  return catchUp === 'one' ? Math.min(missed, 1) : Math.min(missed, MAX_CATCH_UP);
}
