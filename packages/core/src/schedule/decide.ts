/** This module decides which occurrences of a schedule fire, wait or are skipped. `runner` carries it out. Pure. */
import type { Overlap } from '../job/schedule-record.js';
import {
  type CatchUp,
  dueAt,
  dueOccurrences,
  MAX_CATCH_UP,
  type NamedTiming,
  nextOccurrence,
} from '../timing/timing.js';

/** The facts about a schedule that a decision depends on. */
export interface ScheduleState extends NamedTiming {
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
  readonly isPaused: boolean;
  /** Occurrences up to this moment are ignored: the schedule was stored, resumed or got another timing then. */
  readonly since: number;
  /** The last occurrence that fired or was skipped. */
  readonly last?: number;
  /** Occurrences that wait for an earlier run to end. */
  readonly waiting: readonly number[];
  /** Age of the oldest run that has not ended, in milliseconds. Absent: there is none. */
  readonly runningMs?: number;
}

/** Occurrences that do not fire, for one reason. */
interface SkippedOccurrences {
  readonly reason: 'missed' | 'overlap';
  readonly count: number;
  readonly latest: number;
}

export interface Decision {
  /** Occurrences to fire now, in order. */
  readonly fire: readonly number[];
  /** Whether running runs must be revoked first. */
  readonly isReplaced: boolean;
  readonly skipped: readonly SkippedOccurrences[];
  readonly waiting: readonly number[];
  /** The new `last` of the state. */
  readonly last?: number;
  /** When to decide again. Absent: only after a change of the schedule. */
  readonly nextAt?: number;
}

/** Decides what a schedule does at `now`. */
export function decide(state: ScheduleState, now: number): Decision {
  const { since, last = Number.NEGATIVE_INFINITY, overlap } = state;
  const known = state.waiting.filter((occurrence) => occurrence > since);
  if (state.isPaused) return decision(state, now, { fire: [], skipped: [], waiting: state.waiting });
  const due = dueOccurrences(state, Math.max(since, last), now, state.catchUp);
  const missed = due.missed === undefined ? [] : [{ reason: 'missed' as const, ...due.missed }];
  const all = overlap === 'queue' ? [...known, ...due.fire] : due.fire;
  const { fire, waiting, dropped } = applyOverlap(overlap, all, state.runningMs !== undefined);
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

/** Splits due occurrences, in order, by the overlap policy. */
function applyOverlap(
  overlap: Overlap,
  occurrences: readonly number[],
  isRunning: boolean,
): { fire: readonly number[]; waiting: readonly number[]; dropped: readonly number[] } {
  const nothing: readonly number[] = [];
  switch (overlap) {
    case 'allow':
      return { fire: occurrences, waiting: nothing, dropped: nothing };
    case 'skip':
      return isRunning
        ? { fire: nothing, waiting: nothing, dropped: occurrences }
        : { fire: occurrences.slice(0, 1), waiting: nothing, dropped: occurrences.slice(1) };
    case 'replace':
      return { fire: occurrences.slice(-1), waiting: nothing, dropped: occurrences.slice(0, -1) };
    case 'queue': {
      const fire = isRunning ? nothing : occurrences.slice(0, 1);
      const rest = occurrences.slice(fire.length);
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

/** Occurrences that wait check the run at intervals of a tenth of its age, within these limits. */
const LOOK_MS = { min: 1000, max: 60_000, part: 10 };

/** Returns when the next occurrence is due or a waiting one may start; undefined if neither will happen. */
export function nextDecisionAt(state: ScheduleState, now: number): number | undefined {
  const { isPaused, since, last = Number.NEGATIVE_INFINITY, waiting, runningMs = 0 } = state;
  if (isPaused) return undefined;
  const occurrence = nextOccurrence(state, Math.max(since, last));
  const occurrenceDueAt = occurrence === undefined ? undefined : dueAt(state, occurrence);
  if (waiting.length === 0) return occurrenceDueAt;
  const lookAt = now + Math.min(LOOK_MS.max, Math.max(LOOK_MS.min, runningMs / LOOK_MS.part));
  return Math.min(occurrenceDueAt ?? lookAt, lookAt);
}
