/** This module defines the public handle and the public description of a schedule. `Scheduling` does the work. */

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
import { type CatchUp, dueAt, nextOccurrence, nextOccurrences, type Timing } from '../timing/timing.js';
import { describeTarget } from './options.js';
import type { Declaration, Scheduling, SyncOptions, SyncReport } from './schedules.js';

/**
 * One schedule of an app. `sync`, or the start of a worker that declares it, stores it.
 *
 * @example
 * const nightly = app.schedule('nightly', { cron: '0 3 * * *', tz: 'Europe/Zurich' }, reindex.si({ shop: 1 }));
 * await app.schedules.sync();
 * console.log(await nightly.next(3));
 */
export interface ScheduleHandle<Out = unknown> {
  readonly name: string;
  /**
   * Returns the next occurrences of the stored schedule, or of the declared one if none is stored. A paused schedule has
   * them too. Jitter is not included. `count`: default 5, at most 1,000.
   * @throws {UnknownScheduleError} if the schedule is neither stored nor declared.
   */
  next(count?: number): Promise<Date[]>;
  /** Returns the stored schedule. @throws {UnknownScheduleError} if it is neither stored nor declared. */
  info(): Promise<ScheduleInfo>;
  /**
   * Stops firing until `resume`, also for occurrences that wait for a run. Running jobs continue. A new deployment does
   * not resume it. @throws {UnknownScheduleError} if it is not in the store.
   */
  pause(): Promise<void>;
  /** Fires again, from the next occurrence on. Occurrences in the pause do not fire. @throws as `pause`. */
  resume(): Promise<void>;
  /**
   * Sends the target now, also while the schedule is paused or another run has not ended. Occurrences do not change. The
   * header `umbel-scheduled-at` shows the moment to the handler.
   * @throws as `pause`, and {ValidationError} if an input no longer fits the schema of its task.
   */
  runNow(): Promise<AsyncResult<Out>>;
  /**
   * Removes the schedule from the store. Jobs that it has sent continue. If the schedule is still declared, the next
   * `sync`, or the next start of a worker, stores it again.
   */
  remove(): Promise<void>;
}

/**
 * All schedules of an app.
 *
 * @example
 * for (const { name, state, lateMs } of await app.schedules.list()) console.log(name, state, lateMs);
 * await app.schedules.get('nightly').pause();
 */
export interface Schedules {
  /** Returns every stored or declared schedule, sorted by name. */
  list(): Promise<ScheduleInfo[]>;
  /** Returns the handle of a schedule. The schedule need not exist. */
  get(name: string): ScheduleHandle;
  /**
   * Stores the schedules that this program declares. Workers do so when they start. A changed schedule stays paused, and
   * keeps its last occurrence unless its timing changed. Several programs can sync at the same time.
   * @throws {ScheduleError} if an input of a target does not fit the schema of its task. Nothing is stored then.
   */
  sync(options?: SyncOptions): Promise<SyncReport>;
}

/** The type that the compiler prints for a target whose input is not bound. */
export interface InputStillNeeded<In> {
  readonly 'bind the whole input: a schedule gives none': In;
}

/** A target of a schedule: any step that can be sent without an input. */
export type ScheduleTarget<S extends Step<string, never, unknown>> =
  [] extends InputArgs<InputOf<S>> ? unknown : InputStillNeeded<InputOf<S>>;

/** Returns a handle. `scheduling` returns the current `Scheduling` of the app. */
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

// Descriptions of schedules

/** A stored or declared schedule. */
export interface ScheduleInfo {
  readonly name: string;
  /**
   * `ended`: it has no more occurrences. `unstored`: the code declares it, and it is not stored yet. `broken`: the stored
   * record cannot be read; the next `sync` of a program that declares it repairs it.
   */
  readonly state: 'active' | 'paused' | 'ended' | 'unstored' | 'broken';
  /** Durations in milliseconds, moments in milliseconds since 1970. Absent if the schedule is broken. */
  readonly timing?: Timing;
  readonly catchUp?: CatchUp;
  readonly overlap?: Overlap;
  /** The task that it sends, or `workflow of …` with the names of the tasks. */
  readonly target?: string;
  /** Where it was declared: in the code of a program. */
  readonly source: 'code';
  /** Whether the code of this process declares it. */
  readonly isDeclared: boolean;
  /** Whether the stored schedule differs from the declared one: this program has not synced, or another one has. */
  readonly isDrifted: boolean;
  /** The next five occurrences, without jitter. A paused schedule has them too. */
  readonly next: readonly Date[];
  /** How late the next occurrence is by now, in milliseconds. 0 if it is not late. */
  readonly lateMs: number;
  /** Occurrences that wait for a run to end. */
  readonly waiting: readonly Date[];
  /** The latest runs, latest first: five from `list`, twenty from `info`. */
  readonly runs: readonly ScheduleRun[];
}

/** The outcome of an occurrence. */
export interface ScheduleRun {
  /** The occurrence. For several skipped in a row, the latest one; for `runNow`, the moment of the call. */
  readonly slot: Date;
  readonly at: Date;
  readonly outcome: 'fired' | 'skipped' | 'failed';
  /** The id of the job, for `app.result(id)`, and its current state. Only if the occurrence fired. */
  readonly id?: string;
  readonly state?: string;
  /** Present if `runNow` fired it. */
  readonly isManual?: true;
  /** Why occurrences were skipped, and how many in a row. At most 100 missed ones are counted at a time. */
  readonly reason?: 'missed' | 'overlap';
  readonly count?: number;
  /** Why the target could not be sent. */
  readonly error?: ErrorRecord;
}

export const UPCOMING_OCCURRENCES = 5;

export interface InfoDependencies {
  readonly store: Store;
  readonly sealer: Sealer;
}

/** Returns the description of a stored schedule. `runs`: maximum number of runs. */
export async function infoOf(
  dependencies: InfoDependencies,
  name: string,
  { envelope, finishedAt }: StoredJob,
  declared: Declaration | undefined,
  now: number,
  runs: number,
): Promise<ScheduleInfo> {
  const { schedule: record, slots = {} } = envelope ?? {};
  const identity = { name, source: 'code', isDeclared: declared !== undefined } as const;
  // The job of a schedule ends only if a worker could not read it.
  if (record === undefined || finishedAt !== undefined)
    return { ...identity, state: 'broken', isDrifted: true, next: [], lateMs: 0, waiting: [], runs: [] };
  const { last = Number.NEGATIVE_INFINITY, waiting = [] } = slots;
  const from = Math.max(record.since, last);
  const upcoming = nextOccurrence(record, from);
  return {
    ...identity,
    state: stateOf(record, upcoming, waiting.length),
    timing: record.timing,
    catchUp: record.catchUp,
    overlap: record.overlap,
    target: describeTarget(record.target),
    isDrifted: declared !== undefined && declared.digest !== record.digest,
    next: dates(nextOccurrences(record, Math.max(now, from), UPCOMING_OCCURRENCES)),
    lateMs:
      upcoming === undefined || record.paused !== undefined ? 0 : Math.max(0, now - dueAt(record, upcoming)),
    waiting: dates(waiting),
    runs: await Promise.all((slots.runs ?? []).slice(0, runs).map((run) => toRun(dependencies, name, run))),
  };
}

/** Returns the description of a declared schedule that is not stored. */
export function unstored({ name, timing, catchUp, overlap, target }: Declaration, now: number): ScheduleInfo {
  return {
    ...{ name, timing, catchUp, overlap },
    target: describeTarget(target),
    state: 'unstored',
    source: 'code',
    isDeclared: true,
    isDrifted: true,
    next: dates(nextOccurrences({ name, timing }, now, UPCOMING_OCCURRENCES)),
    lateMs: 0,
    waiting: [],
    runs: [],
  };
}

function stateOf(
  { paused }: ScheduleRecord,
  upcoming: number | undefined,
  waiting: number,
): ScheduleInfo['state'] {
  if (paused !== undefined) return 'paused';
  return upcoming === undefined && waiting === 0 ? 'ended' : 'active';
}

async function toRun(
  { store, sealer }: InfoDependencies,
  name: string,
  run: RunRecord,
): Promise<ScheduleRun> {
  const { slot, at, outcome, id, queue, manual, reason, count } = run;
  const context = { subject: 'failure', id: scheduleId(name), task: '' } as const;
  const error =
    run.error === undefined
      ? undefined
      : readErrorRecord(await sealer.decode(run.error, context).catch(() => undefined));
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
