/** When a schedule has its slots: a pure function of its definition, so that every machine agrees. */
import { createHash } from 'node:crypto';
import { dayAt, dayEndAfter, type ExcludedDays, isExcluded } from './calendar.js';
import { nextOfCron } from './cron.js';

/** The timing of a schedule, checked and in the form in which it is stored; moments in milliseconds since 1970. */
export type Timing = {
  readonly tz: string;
  readonly jitterMs?: number;
  /** No slot before. */
  readonly startAt?: number;
  /** No slot after. */
  readonly endAt?: number;
  readonly except?: ExcludedDays;
} & ({ readonly cron: string } | { readonly everyMs: number });

/** The timing of the schedule of this name, which its jitter and an `H` in its cron expression follow from. */
export interface NamedTiming {
  readonly name: string;
  readonly timing: Timing;
}

export const MIN_EVERY_MS = 1000;
export const MAX_EVERY_MS = 3650 * 86_400_000;

/** If all slots for so long are left out, none is looked for after that. */
const MAX_EXCLUDED_MS = 4000 * 86_400_000;

/** The first slot that is later than `after`, in milliseconds since 1970; undefined if there is none. */
export function nextSlot(named: NamedTiming, after: number): number | undefined {
  const { tz, startAt, endAt, except } = named.timing;
  const first = startAt === undefined ? after : Math.max(after, startAt - 1);
  for (let from = first; from < first + MAX_EXCLUDED_MS; ) {
    const slot = nextOf(named, from);
    if (slot === undefined || (endAt !== undefined && slot > endAt)) return undefined;
    if (except === undefined || !isExcluded(except, dayAt(tz, slot))) return slot;
    from = dayEndAfter(tz, slot) - 1;
  }
  return undefined;
}

function nextOf({ name, timing }: NamedTiming, after: number): number | undefined {
  if ('cron' in timing) return nextOfCron({ cron: timing.cron, tz: timing.tz, seed: name }, after);
  const { everyMs, startAt: anchor = 0 } = timing;
  return anchor + (Math.floor((after - anchor) / everyMs) + 1) * everyMs;
}

/** The first `count` slots that are later than `after`. */
export function nextSlots(named: NamedTiming, after: number, count: number): number[] {
  const slots: number[] = [];
  for (let from = after; slots.length < count; ) {
    const slot = nextSlot(named, from);
    if (slot === undefined) break;
    slots.push(slot);
    from = slot;
  }
  return slots;
}

/** When a slot is fired at the earliest: the jitter, which its name and the slot decide, after it. */
export function dueAt({ name, timing: { jitterMs = 0 } }: NamedTiming, slot: number): number {
  if (jitterMs === 0) return slot;
  const hash = createHash('sha256').update(`${name}/${slot}`).digest();
  return slot + Math.floor((hash.readUInt32BE(0) / 2 ** 32) * (jitterMs + 1));
}

/** The windows in which the latest slots are looked for, backwards: each is twice as long as the one before. */
const FIRST_WINDOW_MS = 60_000;

/** The latest `limit` slots that are later than `after` and not later than `until`, in order. */
export function latestSlots(named: NamedTiming, after: number, until: number, limit: number): number[] {
  let slots: number[] = [];
  let to = until;
  for (let windowMs = FIRST_WINDOW_MS; to > after && slots.length < limit; windowMs *= 2) {
    const from = Math.max(after, to - windowMs);
    slots = [...slotsWithin(named, from, to), ...slots];
    to = from;
  }
  return slots.slice(-limit);
}

function slotsWithin(named: NamedTiming, after: number, until: number): number[] {
  const slots: number[] = [];
  for (let slot = nextSlot(named, after); slot !== undefined && slot <= until; slot = nextSlot(named, slot))
    slots.push(slot);
  return slots;
}
