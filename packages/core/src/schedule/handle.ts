/** A schedule, as a user has it in hand. */

import type { ErrorRecord } from '../base/errors.js';
import type { AsyncResult } from '../client/async-result.js';
import type { Sealer } from '../codec/codecs.js';
import { readErrorRecord } from '../codec/error-record.js';
import type { Overlap, RunRecord, ScheduleRecord } from '../job/schedule-record.js';
import { jobStateOf } from '../store/read.js';
import { scheduleId } from '../store/schedules.js';
import type { Store } from '../store/store.js';
import type { StoredJob } from '../store/stored-job.js';
import type { InputArgs, InputOf, Step } from '../task/types/step.js';
import { type CatchUp, dueAt, nextSlot, nextSlots, type Timing } from '../timing/timing.js';
import type { Declaration, Scheduling, SyncOptions, SyncReport } from './schedules.js';
import { describeTarget } from './target.js';

/** One schedule of an app. It is in the store once `sync` has been called, or a worker that declares it was started. */
export interface ScheduleHandle<Out = unknown> {
  readonly name: string;
  /**
   * The next slots by what is stored, or is declared if nothing is; those of a paused one too. With jitter they are fired
   * later. Default 5, at most 1,000.
   * @throws {UnknownScheduleError} if it is neither.
   */
  next(count?: number): Promise<Date[]>;
  /** What the store has of it. @throws {UnknownScheduleError} if it has nothing, and this program does not declare it. */
  info(): Promise<ScheduleInfo>;
  /**
   * Fires nothing until `resume`, also no slots that wait for a run; what runs goes on. It stays paused whatever is
   * deployed. @throws {UnknownScheduleError} if it is not in the store.
   */
  pause(): Promise<void>;
  /** Fires slots again, from the next one on: those in the pause are not caught up with. @throws as `pause`. */
  resume(): Promise<void>;
  /**
   * Sends its target at once, also while it is paused or another run goes on; its slots stay as they are. The handler
   * finds the moment in the header `umbel-scheduled-at`.
   * @throws as `pause`, and {ValidationError} if an input does not fit any more.
   */
  runNow(): Promise<AsyncResult<Out>>;
  /**
   * Removes it from the store; what it has sent goes on. Of one that is still declared, the next `sync`, also that of a
   * worker that starts, stores it anew.
   */
  remove(): Promise<void>;
}

/** All schedules of an app. */
export interface Schedules {
  /** Every schedule in the store, and those that this program declares, by name. */
  list(): Promise<ScheduleInfo[]>;
  /** The handle of any schedule, by its name. */
  get(name: string): ScheduleHandle;
  /**
   * Stores what this program declares. Workers do so when they start. What has changed keeps its pause, and its last slot
   * if only other things than its slots have. Many programs may do so at the same time.
   * @throws {ScheduleError} if an input of a target does not fit its task's schema; nothing is stored then.
   */
  sync(options?: SyncOptions): Promise<SyncReport>;
}

/** What the compiler shows where a target would have to be given input at each slot. */
export interface InputStillNeeded<In> {
  readonly 'bind the whole input: a schedule gives none': In;
}

/** What is scheduled: anything that can be sent as it is. */
export type ScheduleTarget<S extends Step<string, never, unknown>> =
  [] extends InputArgs<InputOf<S>> ? unknown : InputStillNeeded<InputOf<S>>;

/** A handle by name; `scheduling` gives what answers for the app here and now. */
export function scheduleHandle(name: string, scheduling: () => Scheduling): ScheduleHandle {
  return {
    name,
    next: (count) => scheduling().next(name, count),
    info: () => scheduling().info(name),
    pause: () => scheduling().pause(name),
    resume: () => scheduling().resume(name),
    runNow: () => scheduling().runNow(name),
    remove: () => scheduling().remove(name),
  };
}

// What is told of a schedule.

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
    ...(id !== undefined && queue !== undefined && { id, state: await jobStateOf(store, { queue, id }) }),
    ...(manual && { isManual: true }),
    ...(reason !== undefined && { reason, count: count ?? 1 }),
    ...(error !== undefined && { error }),
  };
}

function dates(moments: readonly number[]): Date[] {
  return moments.map((moment) => new Date(moment));
}
