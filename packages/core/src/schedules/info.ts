/** What is told of a schedule. */
import { scheduleId } from '../bullmq/schedule-store.js';
import type { Store } from '../bullmq/store.js';
import type { StoredJob } from '../bullmq/stored-job.js';
import type { ErrorRecord } from '../errors.js';
import { readErrorRecord } from '../wire/error-record.js';
import type { Sealer } from '../wire/sealing.js';
import type { Overlap } from './decide.js';
import type { Declaration } from './declared.js';
import type { CatchUp } from './due-slots.js';
import type { RunRecord, ScheduleRecord } from './record.js';
import { describeTarget } from './target.js';
import { dueAt, nextSlot, nextSlots, type Timing } from './timing.js';

/** A schedule, as the store has it. */
export interface ScheduleInfo {
  readonly name: string;
  /**
   * `ended`: no slot comes any more. `unstored`: the code declares it, and nobody has stored it yet. `broken`: what is
   * stored cannot be read; the next `sync` of a program that declares it puts it right.
   */
  readonly state: 'active' | 'paused' | 'ended' | 'unstored' | 'broken';
  /** Times in milliseconds, moments in milliseconds since 1970; absent if it is broken. */
  readonly timing?: Timing;
  readonly catchUp?: CatchUp;
  readonly overlap?: Overlap;
  /** The task, or the tasks of the composition, that it sends. */
  readonly target?: string;
  /** Who has declared it: the code of a program. */
  readonly source: 'code';
  /** Whether the code of this process declares it. */
  readonly isDeclared: boolean;
  /** What is stored is not what the code of this process declares: `sync` has not been called since, or another program has. */
  readonly isDrifted: boolean;
  /** The next five slots, without jitter; those that a paused one would have. */
  readonly next: readonly Date[];
  /** How much later than it should be the next slot is by now, in milliseconds; 0 while all goes well. */
  readonly lateMs: number;
  /** Slots that wait for a run to end. */
  readonly waiting: readonly Date[];
  /** The latest first; `list` gives five, `info` twenty. */
  readonly runs: readonly ScheduleRun[];
}

/** What became of a slot. */
export interface ScheduleRun {
  /** Of several that were skipped in turn, the latest; of one that was fired by hand, the moment. */
  readonly slot: Date;
  readonly at: Date;
  readonly outcome: 'fired' | 'skipped' | 'failed';
  /** Of one that was fired: its id, for `app.result(id)`, and the state that it is in now. */
  readonly id?: string;
  readonly state?: string;
  /** It was fired by `runNow`. */
  readonly isManual?: true;
  /** Of skipped ones: why, and how many in turn (of missed ones, at most 100 at a time are counted). */
  readonly reason?: 'missed' | 'overlap';
  readonly count?: number;
  /** Why it could not be sent. */
  readonly error?: ErrorRecord;
}

export const NEXT_SLOTS = 5;

export interface InfoParts {
  readonly store: Store;
  readonly sealer: Sealer;
}

/** What is told of a stored schedule; `runs`: how many of its runs. */
export async function infoOf(
  parts: InfoParts,
  name: string,
  { envelope, finishedAt }: StoredJob,
  declared: Declaration | undefined,
  now: number,
  runs: number,
): Promise<ScheduleInfo> {
  const { schedule: record, slots = {} } = envelope ?? {};
  const own = { name, source: 'code', isDeclared: declared !== undefined } as const;
  // One that has ended was failed by a worker, which could not read it.
  if (record === undefined || finishedAt !== undefined)
    return { ...own, state: 'broken', isDrifted: true, next: [], lateMs: 0, waiting: [], runs: [] };
  const { last = Number.NEGATIVE_INFINITY, waiting = [] } = slots;
  const from = Math.max(record.since, last);
  const coming = nextSlot(record, from);
  return {
    ...own,
    state: stateOf(record, coming, waiting.length),
    timing: record.timing,
    catchUp: record.catchUp,
    overlap: record.overlap,
    target: describeTarget(record.target),
    isDrifted: declared !== undefined && declared.digest !== record.digest,
    next: dates(nextSlots(record, Math.max(now, from), NEXT_SLOTS)),
    lateMs:
      coming === undefined || record.paused !== undefined ? 0 : Math.max(0, now - dueAt(record, coming)),
    waiting: dates(waiting),
    runs: await Promise.all((slots.runs ?? []).slice(0, runs).map((run) => toRun(parts, name, run))),
  };
}

/** What is told of one that the code declares and the store does not have. */
export function unstored({ name, timing, catchUp, overlap, target }: Declaration, now: number): ScheduleInfo {
  return {
    ...{ name, timing, catchUp, overlap },
    target: describeTarget(target),
    state: 'unstored',
    source: 'code',
    isDeclared: true,
    isDrifted: true,
    next: dates(nextSlots({ name, timing }, now, NEXT_SLOTS)),
    lateMs: 0,
    waiting: [],
    runs: [],
  };
}

function stateOf(
  { paused }: ScheduleRecord,
  coming: number | undefined,
  waiting: number,
): ScheduleInfo['state'] {
  if (paused !== undefined) return 'paused';
  return coming === undefined && waiting === 0 ? 'ended' : 'active';
}

async function toRun({ store, sealer }: InfoParts, name: string, run: RunRecord): Promise<ScheduleRun> {
  const { slot, at, outcome, id, queue, manual, reason, count } = run;
  const context = { subject: 'failure', id: scheduleId(name), task: '' } as const;
  const error =
    run.error === undefined
      ? undefined
      : readErrorRecord(await sealer.open(run.error, context).catch(() => undefined));
  return {
    slot: new Date(slot),
    at: new Date(at),
    outcome,
    ...(id !== undefined && queue !== undefined && { id, state: await store.state(queue, id) }),
    ...(manual && { isManual: true }),
    ...(reason !== undefined && { reason, count: count ?? 1 }),
    ...(error !== undefined && { error }),
  };
}

function dates(moments: readonly number[]): Date[] {
  return moments.map((moment) => new Date(moment));
}
