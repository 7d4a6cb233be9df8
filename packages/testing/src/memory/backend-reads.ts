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
import { BackendBase } from './backend-base.js';
import { type Marker, readEvents, readStreams, waitForJob } from './blocking.js';
import { deduplicationOf } from './deduplication.js';
import {
  type Dependencies,
  dependencies,
  dependencyCounts,
  ignoredFailures,
  processedValues,
} from './dependencies.js';
import {
  counts,
  countsPerPriority,
  finishedStatus,
  isInState,
  lookAtJobs,
  outcomeOf,
  ranges,
  stateOf,
} from './getters.js';
import { toJobJson } from './job-json.js';
import { readLogs } from './logs.js';
import { readMetrics } from './metrics.js';
import { type Page, paginate } from './pagination.js';
import { rateLimitLeft } from './rate-limit.js';
import { readScheduler, schedulersRange } from './schedulers.js';

/** The part of a backend that changes nothing. */
export class BackendReads extends BackendBase {
  // Where a reader that asked for events from "now on" stands, so that none is lost between two waits.
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
      // Sound for callers, which read the second item only of a finished job; Redis sends none for others.
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
      // BullMQ's own type for lists of any length.
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
      // BullMQ reads the absent values of Redis (null) out of this tuple too, whatever its type says.
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

  /** The events after a place in each of many queues; with `blockTimeout` it waits so long for the first. */
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
