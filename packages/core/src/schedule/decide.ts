import type { Overlap } from '../job/schedule-record.js';
/** What a schedule does at a moment. Pure. */
import { type CatchUp, dueAt, dueSlots, MAX_CATCH_UP, type NamedTiming, nextSlot } from '../timing/timing.js';

/** What of a schedule decides. */
export interface ScheduleState extends NamedTiming {
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  readonly isPaused: boolean;
  /** Slots up to this moment are none: when the schedule was stored, resumed or got another timing. */
  readonly since: number;
  /** The last slot that was fired or skipped. */
  readonly last?: number;
  /** Slots that wait for the run of an earlier one to end. */
  readonly waiting: readonly number[];
  /** How long the run of an earlier slot has been going on; absent: none is. */
  readonly runningMs?: number;
}

/** Slots of one kind that are not fired. */
interface SkippedSlots {
  readonly reason: 'missed' | 'overlap';
  readonly count: number;
  readonly latest: number;
}

export interface Decision {
  /** Slots to fire now, in order. */
  readonly fire: readonly number[];
  /** The run that goes on is to be revoked before. */
  readonly isReplaced: boolean;
  readonly skipped: readonly SkippedSlots[];
  readonly waiting: readonly number[];
  /** As in the state. */
  readonly last?: number;
  /** When to decide again, with what follows from this decision; undefined: not by itself. */
  readonly nextAt?: number;
}

/** What a schedule does now. */
export function decide(state: ScheduleState, now: number): Decision {
  const { since, last = Number.NEGATIVE_INFINITY, overlap } = state;
  const known = state.waiting.filter((slot) => slot > since);
  if (state.isPaused) return decision(state, now, { fire: [], skipped: [], waiting: state.waiting });
  const due = dueSlots(state, Math.max(since, last), now, state.catchUp);
  const missed = due.missed === undefined ? [] : [{ reason: 'missed' as const, ...due.missed }];
  const all = overlap === 'queue' ? [...known, ...due.fire] : due.fire;
  const { fire, waiting, dropped } = placed(overlap, all, state.runningMs !== undefined);
  const latest = dropped.at(-1);
  const overlapping =
    latest === undefined ? [] : [{ reason: 'overlap' as const, count: dropped.length, latest }];
  return decision(state, now, {
    fire,
    waiting,
    skipped: [...missed, ...overlapping],
    ...(due.last !== undefined && { last: due.last }),
  });
}

/** What becomes of slots, in order, by the policy. */
function placed(
  overlap: Overlap,
  slots: readonly number[],
  isRunning: boolean,
): { fire: readonly number[]; waiting: readonly number[]; dropped: readonly number[] } {
  const nothing: readonly number[] = [];
  switch (overlap) {
    case 'allow':
      return { fire: slots, waiting: nothing, dropped: nothing };
    case 'skip':
      return isRunning
        ? { fire: nothing, waiting: nothing, dropped: slots }
        : { fire: slots.slice(0, 1), waiting: nothing, dropped: slots.slice(1) };
    case 'replace':
      return { fire: slots.slice(-1), waiting: nothing, dropped: slots.slice(0, -1) };
    case 'queue': {
      const fire = isRunning ? nothing : slots.slice(0, 1);
      const rest = slots.slice(fire.length);
      return { fire, waiting: rest.slice(-MAX_CATCH_UP), dropped: rest.slice(0, -MAX_CATCH_UP) };
    }
  }
}

function decision(
  state: ScheduleState,
  now: number,
  made: Omit<Decision, 'isReplaced' | 'nextAt'>,
): Decision {
  const { overlap, runningMs } = state;
  const last = made.last ?? state.last;
  const hasFired = made.fire.length > 0;
  const next = nextDecisionAt(
    {
      ...state,
      waiting: made.waiting,
      ...(last !== undefined && { last }),
      ...(hasFired && { runningMs: 0 }),
    },
    now,
  );
  return {
    ...made,
    isReplaced: overlap === 'replace' && hasFired && runningMs !== undefined,
    ...(last !== undefined && { last }),
    ...(next !== undefined && { nextAt: next }),
  };
}

/** How often it is looked whether a run has ended that slots wait for: after a tenth of the time that it takes. */
const LOOK_MS = { min: 1000, max: 60_000, part: 10 };

/** When the next slot is due, or it is to be looked whether one can start; undefined: never by itself. */
export function nextDecisionAt(state: ScheduleState, now: number): number | undefined {
  const { isPaused, since, last = Number.NEGATIVE_INFINITY, waiting, runningMs = 0 } = state;
  if (isPaused) return undefined;
  const slot = nextSlot(state, Math.max(since, last));
  const slotAt = slot === undefined ? undefined : dueAt(state, slot);
  if (waiting.length === 0) return slotAt;
  const lookAt = now + Math.min(LOOK_MS.max, Math.max(LOOK_MS.min, runningMs / LOOK_MS.part));
  return Math.min(slotAt ?? lookAt, lookAt);
}
