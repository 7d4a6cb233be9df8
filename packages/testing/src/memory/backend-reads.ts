import type { DependenciesOpts, FinishedStatus, JobJson, JobState, JobType, StreamReadRaw } from 'bullmq';
import { BackendBase } from './backend-base.js';
import { type Marker, readEvents, waitForJob } from './blocking.js';
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

  async getJobData(jobId: string): Promise<JobJson | undefined> {
    const job = this.queue.jobs.get(jobId);
    return job && toJobJson(job);
  }

  async getState(jobId: string): Promise<JobState | 'unknown'> {
    return stateOf(this.queue, jobId);
  }

  async isJobInState(state: string, jobId: string): Promise<boolean> {
    return isInState(this.queue, state, jobId);
  }

  async isFinished(jobId: string, returnValue = false): Promise<number | [number, string]> {
    const job = this.queue.jobs.get(jobId);
    const status = finishedStatus(job);
    if (!returnValue) return status;
    if (!job) return [-1, `Missing key for job ${this.toKey(jobId)}. isFinished`];
    const outcome = status === 0 ? undefined : outcomeOf(job);
    // Sound for callers, which read the second item only of a finished job; Redis sends none for others.
    return (outcome === undefined ? [status] : [status, outcome]) as [number, string];
  }

  async isMaxed(): Promise<boolean> {
    return this.queue.isMaxed();
  }

  async getCounts(types: JobType[], delayedTimestamp?: number): Promise<number[]> {
    return counts(this.queue, types, delayedTimestamp);
  }

  async getCountsPerPriority(priorities: number[]): Promise<number[]> {
    return countsPerPriority(this.queue, priorities);
  }

  async getRanges(types: JobType[], start = 0, end = 1, asc = false): Promise<[string][]> {
    // BullMQ's own type for lists of any length.
    return ranges(this.queue, types, start, end, asc) as [string][];
  }

  async getDependencies(jobId: string, opts: DependenciesOpts = {}): Promise<Dependencies> {
    return dependencies(this.queue, jobId, opts);
  }

  async getDependencyCounts(jobId: string, types: string[]): Promise<number[]> {
    return dependencyCounts(this.queue, jobId, types);
  }

  async getProcessedChildrenValues(jobId: string): Promise<Record<string, string>> {
    return processedValues(this.queue, jobId);
  }

  async getIgnoredChildrenFailures(jobId: string): Promise<Record<string, string>> {
    return ignoredFailures(this.queue, jobId);
  }

  async paginate(key: string, opts: { start: number; end: number; fetchJobs?: boolean }): Promise<Page> {
    return paginate(this.queue, key, opts);
  }

  async getJobLogs(
    jobId: string,
    start: number,
    end: number,
    asc: boolean,
  ): Promise<{ logs: string[]; count: number }> {
    return readLogs(this.queue, jobId, start, end, asc);
  }

  async getMetrics(type: FinishedStatus, start = 0, end = -1): Promise<[string[], string[], number]> {
    // BullMQ reads the absent values of Redis (null) out of this tuple too, whatever its type says.
    return readMetrics(this.queue, type, start, end) as [string[], string[], number];
  }

  async getDeduplicationJobId(deduplicationId: string): Promise<string | null> {
    const { queue } = this;
    return deduplicationOf(queue, deduplicationId, queue.now)?.jobId ?? null;
  }

  async getRateLimitTtl(maxJobs?: number): Promise<number> {
    const { queue } = this;
    return rateLimitLeft(queue, maxJobs, queue.now);
  }

  async getJobScheduler(id: string): Promise<[string[] | null, string | null]> {
    return readScheduler(this.queue, id);
  }

  async isJobScheduler(id: string): Promise<boolean> {
    return this.queue.schedulers.has(id);
  }

  async getJobSchedulerData(key: string): Promise<Record<string, string>> {
    return { ...this.queue.schedulers.get(key)?.fields };
  }

  async getJobSchedulersRange(start: number, end: number, asc: boolean): Promise<string[]> {
    return schedulersRange(this.queue, start, end, asc);
  }

  async getJobSchedulersCount(): Promise<number> {
    return this.queue.schedulers.size;
  }

  async getQueueMetaField(field: string): Promise<string | null> {
    return this.queue.meta.get(field);
  }

  async getQueueMetaFields(fields: string[]): Promise<(string | null)[]> {
    const { meta } = this.queue;
    return fields.map((field) => meta.get(field));
  }

  async getQueueMeta(): Promise<Record<string, string>> {
    return this.queue.meta.all();
  }

  async hasQueueMetaField(field: string): Promise<boolean> {
    return this.queue.meta.get(field) !== null;
  }

  async readEvents(id: string, blockTimeout: number): Promise<StreamReadRaw> {
    const { queue } = this;
    if (id === '$') this.#newest ??= queue.events.lastId;
    return readEvents(queue, this.connection, id === '$' ? (this.#newest ?? id) : id, blockTimeout);
  }

  async waitForJob(blockTimeout: number): Promise<Marker | null> {
    const timeout = blockTimeout > 0 ? blockTimeout * 1000 : Infinity;
    return waitForJob(this.queue, this.connection, this.options.limiter?.max, timeout);
  }
}
