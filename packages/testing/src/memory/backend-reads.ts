/** The read commands of a backend of the memory store, including blocking waits for jobs and events. */

import type { Looks } from '@umbel/core/internal';
import type {
  DependenciesOpts,
  EntryRaw,
  FinishedStatus,
  JobJson,
  JobState,
  JobType,
  StreamReadRaw,
} from 'bullmq';
import { deduplicationOf } from './add.js';
import { BackendBase, type Connection } from './backend-base.js';
import { canTake, stopWaiting, wakeWorkers } from './enqueue.js';
import { missingJobJson, toJobJson } from './job-record.js';
import { rateLimitLeft, readLogs, readMetrics } from './limits.js';
import type { QueueData, Waiter } from './queue.js';
import {
  collectionOf,
  counts,
  countsPerPriority,
  type Dependencies,
  dependencies,
  dependencyCounts,
  finishedStatus,
  ignoredFailures,
  isInState,
  lookAtJobs,
  outcomeOf,
  processedValues,
  ranges,
  stateOf,
} from './reads.js';
import { readScheduler, schedulersRange } from './schedulers.js';

/** Marker for a worker that a job is available: a score in the past. */
export interface Marker {
  member: string;
  score: number;
}

const READY: Marker = { member: '0', score: 0 };
// A worker whose wait is interrupted is stopping: a time that never comes keeps it from taking a job.
const NEVER: Marker = { member: '', score: Infinity };

/**
 * Resolves with a marker once a worker with the limit `maxJobs` could take a job, or with null after `timeout`
 * milliseconds. The worker need not know when a delayed job is due: the timer of the queue wakes it.
 */
async function waitForJob(
  queue: QueueData,
  connection: Connection,
  maxJobs: number | undefined,
  timeout: number,
): Promise<Marker | null> {
  connection.assertBlocking();
  if (canTake(queue, maxJobs)) return { ...READY };
  return new Promise((resolve) => {
    const settle = (marker: Marker | null) => {
      unregister();
      stopWaiting(queue, waiter);
      stopTimer();
      reply(queue, () => resolve(marker));
    };
    const waiter: Waiter = { maxJobs, wake: () => settle({ ...READY }) };
    const unregister = connection.registerWait(() => settle({ ...NEVER }));
    const stopTimer = queue.directory.time.startWait(() => settle(null), timeout);
    queue.waiters.add(waiter);
    wakeWorkers(queue);
  });
}

// A woken worker continues after the command that woke it is answered.
function reply(queue: QueueData, send: () => void): void {
  void queue.directory.turn.next().then(send);
}

/** A position in the events of a queue. */
interface EventPlace {
  readonly queue: QueueData;
  readonly after: string;
}

/** Resolves with the events after `id` once there are any, or with null after `timeout` milliseconds; 0 waits forever. */
async function readEvents(
  queue: QueueData,
  connection: Connection,
  id: string,
  timeout: number,
): Promise<StreamReadRaw> {
  const [present = []] = await readStreams(
    [{ queue, after: id }],
    connection,
    timeout > 0 ? timeout : Infinity,
  );
  return present.length > 0 ? [[`${queue.qualifiedName}:events`, present]] : null;
}

/** Resolves with the events after each position once there are any, or with none after `timeout` milliseconds. */
async function readStreams(
  places: readonly EventPlace[],
  connection: Connection,
  timeout: number,
): Promise<EntryRaw[][]> {
  connection.assertBlocking();
  const read = () => places.map(({ queue, after }) => queue.events.after(after));
  const present = read();
  const [first] = places;
  if (first === undefined || timeout <= 0 || present.some(({ length }) => length > 0)) return present;
  return new Promise((resolve) => {
    const settle = (result: EntryRaw[][]) => {
      unregister();
      for (const stop of stops) stop();
      stopTimer();
      resolve(result);
    };
    const stops = places.map(({ queue, after }) => queue.events.wait(after, () => settle(read())));
    const unregister = connection.registerWait(() => settle([]));
    const stopTimer = first.queue.directory.time.startWait(() => settle([]), timeout);
  });
}

/** A page of a parent's children. */
export interface Page {
  cursor: string;
  items: { id: string; v?: unknown; err?: string }[];
  total: number;
  jobs?: JobJson[];
}

/** Returns the children that `key` names from `start` to `end`, both inclusive; -1 means the last one. */
function paginate(
  queue: QueueData,
  key: string,
  opts: { start: number; end: number; fetchJobs?: boolean },
): Page {
  const found = collectionOf(queue, key);
  if (!found) return { cursor: '0', items: [], total: 0, jobs: [] };
  const { children, kind } = found;
  if (kind === 'unsuccessful') throw new Error('Pagination is only supported for sets and hashes.');
  const values = kind === 'processed' ? children.processed : kind === 'failed' ? children.ignored : undefined;
  const keys = [...(values ?? children.pending).keys()];
  const page = keys.slice(opts.start, opts.end === -1 ? undefined : opts.end + 1);
  return {
    cursor: '0',
    items: page.map((id) => (values ? { id, ...parse(values.get(id) ?? 'null') } : { id })),
    total: keys.length,
    jobs: opts.fetchJobs ? jobsOf(queue, page) : [],
  };
}

function jobsOf(queue: QueueData, keys: readonly string[]): JobJson[] {
  return keys.map((key) => {
    const child = queue.directory.find(key);
    return child ? toJobJson(child.job) : missingJobJson();
  });
}

function parse(text: string): { v: unknown } | { err: string } {
  try {
    return { v: JSON.parse(text) as unknown };
  } catch (error) {
    return { err: error instanceof Error ? error.message : String(error) };
  }
}

/** The read part of a backend. */
export class BackendReads extends BackendBase {
  // Position of a reader that started at the newest event, so that it loses none between two waits.
  #newest: string | undefined;

  getJobData(jobId: string): Promise<JobJson | undefined> {
    return this.command((queue) => {
      const job = queue.jobs.get(jobId);
      return job && toJobJson(job);
    });
  }

  getState(jobId: string): Promise<JobState | 'unknown'> {
    return this.command((queue) => stateOf(queue, jobId));
  }

  isJobInState(state: string, jobId: string): Promise<boolean> {
    return this.command((queue) => isInState(queue, state, jobId));
  }

  isFinished(jobId: string, returnValue = false): Promise<number | [number, string]> {
    return this.command((queue) => {
      const job = queue.jobs.get(jobId);
      const status = finishedStatus(job);
      if (!returnValue) return status;
      if (!job) return [-1, `Missing key for job ${this.toKey(jobId)}. isFinished`];
      const outcome = status === 0 ? undefined : outcomeOf(job);
      // Sound: callers read the second item only for a finished job, and Redis sends none for others.
      return (outcome === undefined ? [status] : [status, outcome]) as [number, string];
    });
  }

  lookAtJobs(ids: readonly string[], followed: number): Promise<Looks> {
    return this.command((queue) => lookAtJobs(queue, ids, followed));
  }

  isMaxed(): Promise<boolean> {
    return this.command((queue) => queue.isMaxed());
  }

  getCounts(types: JobType[], delayedTimestamp?: number): Promise<number[]> {
    return this.command((queue) => counts(queue, types, delayedTimestamp));
  }

  getCountsPerPriority(priorities: number[]): Promise<number[]> {
    return this.command((queue) => countsPerPriority(queue, priorities));
  }

  getRanges(types: JobType[], start = 0, end = 1, asc = false): Promise<[string][]> {
    return this.command((queue) => {
      // BullMQ's type for lists of any length.
      return ranges(queue, types, start, end, asc) as [string][];
    });
  }

  getDependencies(jobId: string, opts: DependenciesOpts = {}): Promise<Dependencies> {
    return this.command((queue) => dependencies(queue, jobId, opts));
  }

  getDependencyCounts(jobId: string, types: string[]): Promise<number[]> {
    return this.command((queue) => dependencyCounts(queue, jobId, types));
  }

  getProcessedChildrenValues(jobId: string): Promise<Record<string, string>> {
    return this.command((queue) => processedValues(queue, jobId));
  }

  getIgnoredChildrenFailures(jobId: string): Promise<Record<string, string>> {
    return this.command((queue) => ignoredFailures(queue, jobId));
  }

  paginate(key: string, opts: { start: number; end: number; fetchJobs?: boolean }): Promise<Page> {
    return this.command((queue) => paginate(queue, key, opts));
  }

  getJobLogs(
    jobId: string,
    start: number,
    end: number,
    asc: boolean,
  ): Promise<{ logs: string[]; count: number }> {
    return this.command((queue) => readLogs(queue, jobId, start, end, asc));
  }

  getMetrics(type: FinishedStatus, start = 0, end = -1): Promise<[string[], string[], number]> {
    return this.command((queue) => {
      // BullMQ also reads null from this tuple, the absent value of Redis, although its type excludes it.
      return readMetrics(queue, type, start, end) as [string[], string[], number];
    });
  }

  getDeduplicationJobId(deduplicationId: string): Promise<string | null> {
    return this.command((queue) => deduplicationOf(queue, deduplicationId)?.jobId ?? null);
  }

  getRateLimitTtl(maxJobs?: number): Promise<number> {
    return this.command((queue) => rateLimitLeft(queue, maxJobs));
  }

  getJobScheduler(id: string): Promise<[string[] | null, string | null]> {
    return this.command((queue) => readScheduler(queue, id));
  }

  isJobScheduler(id: string): Promise<boolean> {
    return this.command((queue) => queue.schedulers.has(id));
  }

  getJobSchedulerData(key: string): Promise<Record<string, string>> {
    return this.command((queue) => ({ ...queue.schedulers.get(key)?.fields }));
  }

  getJobSchedulersRange(start: number, end: number, asc: boolean): Promise<string[]> {
    return this.command((queue) => schedulersRange(queue, start, end, asc));
  }

  getJobSchedulersCount(): Promise<number> {
    return this.command((queue) => queue.schedulers.size);
  }

  getQueueMetaField(field: string): Promise<string | null> {
    return this.command((queue) => queue.meta.get(field));
  }

  getQueueMetaFields(fields: string[]): Promise<(string | null)[]> {
    return this.command((queue) => {
      const { meta } = queue;
      return fields.map((field) => meta.get(field));
    });
  }

  getQueueMeta(): Promise<Record<string, string>> {
    return this.command((queue) => queue.meta.all());
  }

  hasQueueMetaField(field: string): Promise<boolean> {
    return this.command((queue) => queue.meta.get(field) !== null);
  }

  async readEvents(id: string, blockTimeout: number): Promise<StreamReadRaw> {
    const { queue } = this;
    if (id === '$') this.#newest ??= queue.events.lastId;
    return readEvents(queue, this.connection, id === '$' ? (this.#newest ?? id) : id, blockTimeout);
  }

  /** Returns the events after a position in each of many queues; waits up to `blockTimeout` for the first. */
  async readStreams(
    places: readonly { readonly queue: string; readonly after: string }[],
    limit: number,
    blockTimeout = 0,
  ): Promise<EntryRaw[][]> {
    if (!this.connection.up) await this.connection.ready;
    const { store } = this.shared;
    const at = places.map(({ queue, after }) => ({ queue: store.queue(`${this.prefix}:${queue}`), after }));
    const found = await readStreams(at, this.connection, blockTimeout);
    await store.turn.next();
    return at.map((_, index) => (found[index] ?? []).slice(0, limit));
  }

  async waitForJob(blockTimeout: number): Promise<Marker | null> {
    const timeout = blockTimeout > 0 ? blockTimeout * 1000 : Infinity;
    return waitForJob(this.queue, this.connection, this.options.limiter?.max, timeout);
  }
}
