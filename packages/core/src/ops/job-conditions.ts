/**
 * This module finds out what is wrong with jobs that have not ended: they wait for a retry, they are late, or they are stuck.
 * `app.jobs` uses it for its lists and counts. It reads nothing for most jobs.
 */
import type { WorkerQuery } from '../control/ask.js';
import { type WorkerRecord, workerStateOf } from '../control/worker-record.js';
import type { JobRef } from '../job/job.js';
import { hasLock } from '../store/queues.js';
import { readJob } from '../store/read.js';
import type { Store } from '../store/store.js';
import type { StoredJob } from '../store/stored-job.js';
import { childrenOf } from '../store/tree.js';
import type { JobCondition, StoredState } from './job-query.js';

/** The states in which jobs have a condition. */
export const STATES_OF: Readonly<Record<JobCondition, readonly StoredState[]>> = {
  retrying: ['delayed', 'waiting'],
  late: ['delayed', 'waiting'],
  stuck: ['active'],
};

/** An attempt that exceeds its time limit ends by itself, a little later on a busy machine. */
const OVERTIME_MS = 10_000;

/** Maximum number of earlier steps to read for the moment from which a step could start. */
const MAX_EARLIER_STEPS = 10;

interface ConditionDependencies {
  readonly store: Store;
  readonly workerQuery: WorkerQuery;
  readonly now: () => number;
  readonly lateAfterMs: number;
}

/** Reads the conditions of jobs. The records of the workers are read once, for the first running job. */
export class ConditionReader {
  readonly #dependencies: ConditionDependencies;
  #records: Promise<readonly WorkerRecord[]> | undefined;

  constructor(dependencies: ConditionDependencies) {
    this.#dependencies = dependencies;
  }

  /** Returns the conditions of a job in a state. */
  async of(job: StoredJob, state: string): Promise<readonly JobCondition[]> {
    if (state === 'active') return (await this.stuckReason(job)) === undefined ? [] : ['stuck'];
    if (state !== 'waiting' && state !== 'delayed') return [];
    const isRetry = job.attempts > 0;
    const isLate = (await this.lateSince(job, state)) !== undefined;
    return [...(isRetry ? (['retrying'] as const) : []), ...(isLate ? (['late'] as const) : [])];
  }

  /** Returns the moment from which a waiting or delayed job could start, if that is too long ago; else undefined. */
  async lateSince(job: StoredJob, state: string): Promise<number | undefined> {
    const { store, now, lateAfterMs } = this.#dependencies;
    const { dueAt, envelope } = job;
    // Whether a retry is overdue is not known before it is moved: the store has no time of the end of an attempt.
    if (dueAt === undefined || (state === 'delayed' && job.startedAt !== undefined)) return undefined;
    const bound = now() - lateAfterMs;
    if (dueAt > bound) return undefined;
    if (envelope?.after === undefined || job.startedAt !== undefined) return dueAt;
    const readyAt = Math.max(dueAt, await endOfEarlierSteps(store, job));
    return readyAt > bound ? undefined : readyAt;
  }

  /** Returns why a job that counts as running does not run, in a sentence; undefined if it does. */
  async stuckReason(job: StoredJob): Promise<string | undefined> {
    const { store, workerQuery, now } = this.#dependencies;
    const { worker, startedAt, envelope } = job;
    this.#records ??= workerQuery.records();
    const holders = (await this.#records).filter(({ name }) => name === worker);
    const missing = holders.filter((record) => workerStateOf(record, now()) === 'missing');
    if (holders.length > 0 && missing.length === holders.length) {
      const seenAt = new Date(Math.max(...missing.map((record) => record.seenAt)));
      return `Its worker "${worker}" has sent no heartbeat since ${seenAt.toISOString()}.`;
    }
    const limitMs = envelope?.timeout;
    if (limitMs !== undefined && startedAt !== undefined && now() - startedAt > limitMs + OVERTIME_MS)
      return `It has run since ${new Date(startedAt).toISOString()}, longer than its time limit of ${limitMs} ms.`;
    if (!(await hasLock(store, job))) return 'No worker holds its lock: its worker has ended, or hangs.';
    return undefined;
  }
}

/** Returns when the earlier steps of a step ended; 0 if that is unknown. Reads at most ten of them. */
async function endOfEarlierSteps(store: Store, { queue, id }: JobRef): Promise<number> {
  let end = 0;
  let read = 0;
  for await (const child of childrenOf(store, { queue, id }, ['processed', 'ignored'])) {
    end = Math.max(end, (await readJob(store, child))?.finishedAt ?? 0);
    read += 1;
    if (read === MAX_EARLIER_STEPS) break;
  }
  return end;
}
