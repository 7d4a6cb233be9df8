/**
 * This module removes ended jobs after their retention time. Workers run it: one worker of an app at a time sweeps the
 * queues, periodically and queue by queue.
 *
 * A run is removed as a whole, with its root: a job with a parent is skipped and removed with that parent. So no job of
 * a run disappears before all jobs of the run have ended. Each sweep starts where the last one stopped, so its cost
 * depends on the number of jobs to remove; skipped jobs are checked again later.
 *
 * Events contain results as well: events of a queue are removed once they are older than the retention of results.
 */

import { randomUUID } from 'node:crypto';
import { isUmbelError } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import type { Clock } from '../base/time.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { endedJobsOf } from './ended-jobs.js';
import { DEFAULT_KEPT_MS, keptMsOf } from './job-options.js';
import type { EndedJob, EndedSet } from './primitives/ended-jobs.js';
import { oldEventsIn } from './primitives/streams.js';
import { isHeld, readJob } from './read.js';
import type { Store } from './store.js';
import { removeEndedTrees } from './tree-removal.js';

/** Number of jobs that one command reads. */
const PAGE = 200;
/** Time between two sweeps of a worker: the shortest retention divided by `share`, within these bounds. */
const INTERVAL_MS = { min: 1000, max: 300_000, share: 20 };
/** Timeout of a command. It is short because a closing worker waits for the last one. */
const COMMAND_MS = 2000;
/** A worker that has not renewed its sweep for this long is considered dead. */
const LEASE_MS = 60_000;
/** Skipped jobs are checked again after this time at the earliest … */
const LAP_MS = { min: 60_000, max: 3_600_000 };
/** … and after this time for each skipped job. */
const LAP_MS_A_JOB = 10;
/** Minimum retention of events, so that a restarted reader finds its position. */
const EVENTS_MS = 60_000;
/** Maximum number of different retention times that are stored for a queue. */
const MAX_TIMES = 32;

/** Fields in the metadata of a queue: the progress of the sweep, and the retention times of its jobs. */
const FIELDS = { sweep: 'umbel:retention', times: 'umbel:kept' } as const;

const SETS: readonly EndedSet[] = ['completed', 'failed'];

/** Progress of the sweep of one set. */
interface SetState {
  /** End time of the last job that was seen, by retention time; both in milliseconds. */
  cursors: Record<string, number>;
  /** When the sweep last restarted with the oldest job, and the number of jobs skipped since. */
  lapAt: number;
  left: number;
}

interface Sweep {
  /** When the last sweep ended. */
  readonly at: number;
  /** Id of the worker that sweeps, and when its lease ends. */
  readonly by: string;
  readonly until: number;
  readonly sets: Readonly<Record<EndedSet, SetState>>;
}

export interface RetentionOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly queues: () => readonly string[];
  /** Retention of jobs that the app sends. */
  readonly keptMs: Readonly<Record<EndedSet, number>>;
  readonly onError: (error: Error) => void;
}

export class Retention {
  readonly #options: RetentionOptions;
  readonly #id = randomUUID();
  /** Retention times of jobs by queue, as `<set> <ms>`; and those that are not in the metadata yet. */
  readonly #times = new Map<string, Set<string>>();
  readonly #unshared = new Map<string, Set<string>>();
  #shortestMs: number;
  #timer: unknown;
  #isStopped = true;
  #running: Promise<void> | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#shortestMs = Math.min(options.keptMs.completed, options.keptMs.failed);
  }

  /** Notes that a job with its own retention time has ended in this queue. */
  note(queue: string, set: EndedSet, ms: number): void {
    const time = `${set} ${ms}`;
    const times = this.#times.get(queue) ?? new Set();
    if (times.has(time) || times.size >= MAX_TIMES) return;
    this.#times.set(queue, times.add(time));
    this.#unshared.set(queue, (this.#unshared.get(queue) ?? new Set()).add(time));
    if (ms >= this.#shortestMs) return;
    this.#shortestMs = ms;
    if (!this.#isStopped && this.#running === undefined) this.#schedule();
  }

  start(): void {
    this.#isStopped = false;
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#options.clock.clearTimeout(this.#timer);
    await this.#running;
  }

  get #intervalMs(): number {
    const { min, max, share } = INTERVAL_MS;
    return Math.min(Math.max(this.#shortestMs / share, min), max);
  }

  #schedule(): void {
    const { clock, onError } = this.#options;
    clock.clearTimeout(this.#timer);
    this.#timer = clock.setBackground(() => {
      this.#running = this.#pass()
        .catch((error: Error) => {
          // The next sweep continues where this one stopped. Other code reports that the store is unreachable.
          if (!isUmbelError(error, 'CONNECTION') && !isUmbelError(error, 'CLOSED')) onError(error);
        })
        .then(() => {
          this.#running = undefined;
          if (!this.#isStopped) this.#schedule();
        });
    }, this.#intervalMs);
  }

  async #pass(): Promise<void> {
    // Runs first: their steps are then removed before the queues of the steps are swept.
    for (const queue of new Set([INTERNAL_QUEUE, ...this.#options.queues()])) {
      if (this.#isStopped) return;
      await this.#share(queue);
      const sweep = await this.#claim(queue);
      if (sweep !== undefined) await new QueueSweep(this.#sweepOptions(queue), sweep).run();
    }
  }

  /** Publishes the retention times of jobs that end here to the workers that sweep the queue. */
  async #share(queue: string): Promise<void> {
    const { store } = this.#options;
    const times = this.#unshared.get(queue);
    if (times === undefined) return;
    this.#unshared.delete(queue);
    try {
      const stored = await readMeta(store, queue, FIELDS.times);
      const all = new Set([...readTimes(stored), ...times]);
      await writeMeta(store, queue, FIELDS.times, [...all].slice(-MAX_TIMES));
    } catch (error) {
      this.#unshared.set(queue, times);
      throw error;
    }
  }

  /** Claims the sweep of a queue for this worker; undefined if it is not due or another worker holds it. */
  async #claim(queue: string): Promise<Sweep | undefined> {
    const { store, clock } = this.#options;
    const now = clock.now();
    const intervalMs = this.#intervalMs;
    const last = readSweep(await readMeta(store, queue, FIELDS.sweep));
    const isHeld = last.by !== this.#id && last.until > now && last.until <= now + LEASE_MS;
    const isDue = last.at > now || now - last.at >= intervalMs / 2;
    if (isHeld || !isDue) return undefined;
    const sweep = { ...last, by: this.#id, until: now + LEASE_MS };
    await writeMeta(store, queue, FIELDS.sweep, sweep);
    const noted = readSweep(await readMeta(store, queue, FIELDS.sweep));
    return noted.by === this.#id ? sweep : undefined;
  }

  #sweepOptions(queue: string): QueueSweepOptions {
    return {
      ...this.#options,
      queue,
      id: this.#id,
      isOver: () => this.#isStopped,
    };
  }
}

function readMeta(store: Store, queue: string, field: string): Promise<string | null | undefined> {
  return store.on(queue, (bull) => bull.getBackend().getQueueMetaField(field), COMMAND_MS);
}

async function writeMeta(store: Store, queue: string, field: string, value: unknown): Promise<void> {
  const fields = { [field]: JSON.stringify(value) };
  await store.on(queue, (bull) => bull.getBackend().setQueueMeta(fields), COMMAND_MS);
}

interface QueueSweepOptions extends RetentionOptions {
  readonly queue: string;
  readonly id: string;
  readonly isOver: () => boolean;
}

/** One sweep of a queue. */
class QueueSweep {
  readonly #options: QueueSweepOptions;
  readonly #sets: Readonly<Record<EndedSet, SetState>>;
  readonly #lastAt: number;
  #until: number;

  constructor(options: QueueSweepOptions, { at, sets, until }: Sweep) {
    this.#options = options;
    this.#sets = sets;
    this.#lastAt = at;
    this.#until = until;
  }

  async run(): Promise<void> {
    const { clock } = this.#options;
    const times = await this.#timesToKeep();
    for (const set of SETS) {
      const state = this.#sets[set];
      const now = clock.now();
      const shortest = Math.min(...times[set]);
      const lapMs = Math.min(Math.max(shortest, LAP_MS.min), LAP_MS.max);
      if (now - state.lapAt >= Math.max(lapMs, state.left * LAP_MS_A_JOB) || state.lapAt > now)
        Object.assign(state, { cursors: {}, lapAt: now, left: 0 });
      // Drop retention times that no job has any more.
      for (const ms of Object.keys(state.cursors)) if (!times[set].has(Number(ms))) delete state.cursors[ms];
      for (const ms of times[set]) {
        if (await this.#sweep(set, ms)) continue;
        // This worker closes: release the lease, so that another worker can continue at once.
        if (this.#options.isOver()) await this.#note({ at: this.#lastAt, until: 0 });
        return;
      }
    }
    await this.#removeOldEvents();
    await this.#note({ at: clock.now(), until: 0 });
  }

  async #removeOldEvents(): Promise<void> {
    const { store, queue, clock, keptMs } = this.#options;
    const before = clock.now() - Math.max(keptMs.completed, EVENTS_MS);
    await store.on(
      queue,
      async (bull) => oldEventsIn(bull.getBackend())?.removeOldEvents(before),
      COMMAND_MS,
    );
  }

  /** Returns the retention times of each set, those of other workers' jobs included. */
  async #timesToKeep(): Promise<Record<EndedSet, Set<number>>> {
    const { store, queue, keptMs } = this.#options;
    const found = {
      completed: new Set([this.#defaultMs('completed'), keptMs.completed]),
      failed: new Set([this.#defaultMs('failed'), keptMs.failed]),
    };
    for (const time of readTimes(await readMeta(store, queue, FIELDS.times))) {
      const [set = '', ms = ''] = time.split(' ');
      if (set === 'completed' || set === 'failed') found[set].add(Number(ms));
    }
    return found;
  }

  /** Returns the retention of jobs that store none: jobs of an app with the default, or of an older version. */
  #defaultMs(set: EndedSet): number {
    return Math.max(DEFAULT_KEPT_MS[set], this.#options.keptMs[set]);
  }

  /** Removes jobs that ended longer ago than `keptMs`. Returns false if the sweep was interrupted. */
  async #sweep(set: EndedSet, keptMs: number): Promise<boolean> {
    const { store, queue, clock, isOver } = this.#options;
    const state = this.#sets[set];
    const until = clock.now() - keptMs;
    let from = state.cursors[keptMs] ?? 0;
    /** Number of jobs that ended at `from` and were skipped. */
    let skip = 0;
    while (from <= until) {
      if (isOver() || !(await this.#renew())) return false;
      const range = { from, skip, until, limit: PAGE };
      const jobs = await store.on(
        queue,
        (bull) => endedJobsOf(bull.getBackend()).endedJobs(set, range),
        COMMAND_MS,
      );
      const removed = await this.#removeDue(set, jobs);
      for (const { id, endedAt } of jobs) {
        if (endedAt > from) [from, skip] = [endedAt, 0];
        if (!removed.has(id)) skip += 1;
      }
      state.left += jobs.length - removed.size;
      state.cursors[keptMs] = from;
      if (jobs.length < PAGE) break;
      // Jobs below a removed job are removed with it, and skipped ones may be among them.
      if (removed.size > 0) skip = 0;
    }
    return true;
  }

  /** Removes the jobs of a page that are due. Returns their ids. */
  async #removeDue(set: EndedSet, jobs: readonly EndedJob[]): Promise<ReadonlySet<string>> {
    const { store, queue, clock, isOver } = this.#options;
    const now = clock.now();
    const due = new Map<number, string[]>();
    for (const job of jobs) {
      const keptMs = keptMsOf(job.options, set) ?? this.#defaultMs(set);
      if (job.parent === 'there' || job.endedAt + keptMs > now) continue;
      if (await this.#isOfLivingRun(job.id)) continue;
      const ids = due.get(keptMs) ?? [];
      if (ids.length === 0) due.set(keptMs, ids);
      ids.push(job.id);
    }
    const removed = new Set<string>();
    for (const [keptMs, ids] of due) {
      const limits = { until: now - keptMs, isOver, commandMs: COMMAND_MS };
      for (const id of await removeEndedTrees(store, queue, ids, limits)) removed.add(id);
    }
    return removed;
  }

  /** Returns whether a job is a detached step of a stored run: it is removed with its run. */
  async #isOfLivingRun(id: string): Promise<boolean> {
    const { store, queue, queues } = this.#options;
    if (!id.includes('.')) return false; // not a step
    const run = (await readJob(store, { queue, id }))?.envelope?.run;
    if (run === undefined || run === id) return false;
    for (const name of new Set([INTERNAL_QUEUE, queue, ...queues()]))
      if (await isHeld(store, { queue: name, id: run })) return true;
    return false;
  }

  /** Renews the lease of this sweep when half of it has passed. Returns false if another worker has taken it over. */
  async #renew(): Promise<boolean> {
    const { store, queue, clock, id } = this.#options;
    const now = clock.now();
    if (now < this.#until - LEASE_MS / 2) return true;
    const noted = readSweep(await readMeta(store, queue, FIELDS.sweep));
    if (noted.by !== id) return false;
    this.#until = now + LEASE_MS;
    await this.#note({ at: noted.at, until: this.#until });
    return true;
  }

  async #note({ at, until }: { readonly at: number; readonly until: number }): Promise<void> {
    const { store, queue, id } = this.#options;
    const sweep: Sweep = { at, by: id, until, sets: this.#sets };
    await writeMeta(store, queue, FIELDS.sweep, sweep);
  }
}

/** Returns the stored progress of a sweep; unreadable parts count as absent. */
function readSweep(text: string | null | undefined): Sweep {
  const stored = parsed(text);
  const fields = isPlainObject(stored) ? stored : {};
  const sets = isPlainObject(fields.sets) ? fields.sets : {};
  return {
    at: numberOr(0, fields.at),
    by: typeof fields.by === 'string' ? fields.by : '',
    until: numberOr(0, fields.until),
    sets: { completed: readSet(sets.completed), failed: readSet(sets.failed) },
  };
}

function readSet(stored: unknown): SetState {
  const { cursors, lapAt, left } = isPlainObject(stored) ? stored : {};
  const read: Record<string, number> = {};
  for (const [ms, from] of Object.entries(isPlainObject(cursors) ? cursors : {}).slice(0, 2 * MAX_TIMES))
    read[ms] = numberOr(0, from);
  return { cursors: read, lapAt: numberOr(0, lapAt), left: numberOr(0, left) };
}

function readTimes(text: string | null | undefined): string[] {
  const stored = parsed(text);
  if (!Array.isArray(stored)) return [];
  return stored
    .slice(0, MAX_TIMES)
    .filter((time): time is string => /^(completed|failed) \d+(\.\d+)?$/.test(String(time)));
}

function numberOr(absent: number, stored: unknown): number {
  return typeof stored === 'number' && Number.isFinite(stored) && stored >= 0 ? stored : absent;
}

function parsed(text: string | null | undefined): unknown {
  try {
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
