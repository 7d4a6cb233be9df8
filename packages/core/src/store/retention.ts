/**
 * Removes what has ended and has been kept long enough: one of all workers of an app at a time looks for it, now and
 * then, queue by queue.
 *
 * A run goes as a whole, with its root: a job that another one waits for, or has waited for, is left to that one. So
 * nothing of a run is gone before the run has ended and nothing of it goes on. Each look begins behind what the last one
 * has left, and so costs as much as there is to remove; what it has left is looked at again after a while.
 *
 * Events have results too: those of a queue go once they are as old as results that the app keeps.
 */

import { randomUUID } from 'node:crypto';
import { isUmbelError } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import type { Clock } from '../base/time.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { endedJobsOf } from './ended-jobs.js';
import { DEFAULT_KEPT_MS, keptMsOf } from './job-options.js';
import type { EndedJob, EndedSet } from './primitives/ended-jobs.js';
import { oldEventsIn } from './primitives/ended-jobs.js';
import { isHeld, readJob } from './read.js';
import type { Store } from './store.js';
import { removeEndedTrees } from './tree-removal.js';

/** Jobs that are looked at in one command. */
const PAGE = 200;
/** From one look of a worker to the next; in between, by how long what ends soonest is kept. */
const INTERVAL_MS = { min: 1000, max: 300_000, share: 20 };
/** How long the store may take for a command: a worker that closes waits for the last one. */
const COMMAND_MS = 2000;
/** A worker that has not noted for this long that it still looks is taken for dead. */
const LEASE_MS = 60_000;
/** What was left is looked at again after this long at the earliest … */
const LAP_MS = { min: 60_000, max: 3_600_000 };
/** … and later where much was left. */
const LAP_MS_A_JOB = 10;
/** Events are kept for this long at least, so that a reader that starts again finds its place. */
const EVENTS_MS = 60_000;
/** Different times to keep that are noted of a queue. */
const MAX_TIMES = 32;

/** In the meta data of a queue: how far it was looked through; and the times that jobs of it are kept. */
const FIELDS = { sweep: 'umbel:retention', times: 'umbel:kept' } as const;

const SETS: readonly EndedSet[] = ['completed', 'failed'];

/** How far a set was looked through. */
interface SetState {
  /** When what was seen last had ended, by the time that jobs are kept, in milliseconds. */
  cursors: Record<string, number>;
  /** When the look began anew with the oldest, and what it has left since. */
  lapAt: number;
  left: number;
}

interface Sweep {
  /** When the last look ended. */
  readonly at: number;
  /** Who looks, until when at most. */
  readonly by: string;
  readonly until: number;
  readonly sets: Readonly<Record<EndedSet, SetState>>;
}

export interface RetentionOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly queues: () => readonly string[];
  /** How long the app keeps what it sends. */
  readonly keptMs: Readonly<Record<EndedSet, number>>;
  readonly onError: (error: Error) => void;
}

export class Retention {
  readonly #options: RetentionOptions;
  readonly #id = randomUUID();
  /** The times that jobs of a queue are kept, as `<set> <ms>`; and those that its meta data do not have yet. */
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

  /** A job that says for itself how long it is kept ends in this queue. */
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
          // The next look goes on where this one has left off. That the store is away, others say.
          if (!isUmbelError(error, 'CONNECTION') && !isUmbelError(error, 'CLOSED')) onError(error);
        })
        .then(() => {
          this.#running = undefined;
          if (!this.#isStopped) this.#schedule();
        });
    }, this.#intervalMs);
  }

  async #pass(): Promise<void> {
    // Runs first: what was below their roots is gone when its own queue is looked through.
    for (const queue of new Set([INTERNAL_QUEUE, ...this.#options.queues()])) {
      if (this.#isStopped) return;
      await this.#share(queue);
      const sweep = await this.#claim(queue);
      if (sweep !== undefined) await new QueueSweep(this.#sweepOptions(queue), sweep).run();
    }
  }

  /** Lets the workers know that look through a queue how long jobs that end here are kept. */
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

  /** The state of a queue, if it is due and nobody else looks through it: noted as this worker's then. */
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

/** One look through a queue. */
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
      // Times that nothing is kept for any more.
      for (const ms of Object.keys(state.cursors)) if (!times[set].has(Number(ms))) delete state.cursors[ms];
      for (const ms of times[set]) {
        if (await this.#sweep(set, ms)) continue;
        // Its worker closes: another one goes on from here, and need not wait until this one is taken for dead.
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

  /** The times for which jobs of each set are kept, those of other workers' jobs included. */
  async #timesToKeep(): Promise<Record<EndedSet, Set<number>>> {
    const { store, queue, keptMs } = this.#options;
    const found = {
      completed: new Set([this.#usualMs('completed'), keptMs.completed]),
      failed: new Set([this.#usualMs('failed'), keptMs.failed]),
    };
    for (const time of readTimes(await readMeta(store, queue, FIELDS.times))) {
      const [set = '', ms = ''] = time.split(' ');
      if (set === 'completed' || set === 'failed') found[set].add(Number(ms));
    }
    return found;
  }

  /** For jobs that say nothing of it: those of an app that keeps them for the usual time, or of an older version. */
  #usualMs(set: EndedSet): number {
    return Math.max(DEFAULT_KEPT_MS[set], this.#options.keptMs[set]);
  }

  /** Removes what ended longer ago than this. False if it was left off. */
  async #sweep(set: EndedSet, keptMs: number): Promise<boolean> {
    const { store, queue, clock, isOver } = this.#options;
    const state = this.#sets[set];
    const until = clock.now() - keptMs;
    let from = state.cursors[keptMs] ?? 0;
    /** Jobs that ended at `from` and were left. */
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
      // With a job those below it may be gone, some that were left among them.
      if (removed.size > 0) skip = 0;
    }
    return true;
  }

  /** Removes those of a page that are due; gives their ids. */
  async #removeDue(set: EndedSet, jobs: readonly EndedJob[]): Promise<ReadonlySet<string>> {
    const { store, queue, clock, isOver } = this.#options;
    const now = clock.now();
    const due = new Map<number, string[]>();
    for (const job of jobs) {
      const keptMs = keptMsOf(job.options, set) ?? this.#usualMs(set);
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

  /** Whether a job is a step that its run has let go, and that goes with it all the same. */
  async #isOfLivingRun(id: string): Promise<boolean> {
    const { store, queue, queues } = this.#options;
    if (!id.includes('.')) return false; // no step
    const run = (await readJob(store, { queue, id }))?.envelope?.run;
    if (run === undefined || run === id) return false;
    for (const place of new Set([INTERNAL_QUEUE, queue, ...queues()]))
      if (await isHeld(store, { queue: place, id: run })) return true;
    return false;
  }

  /** Notes that this look goes on, once it has taken a while. False if another worker has taken it over. */
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

/** What is stored of a look; where it cannot be read, as if there had been none. */
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
