import {
  type FinishedStatus,
  getParentKey,
  type IQueueBackend,
  type JobJson,
  type JobProgress,
  type JobsOptions,
  type KeepJobs,
  type MinimalJob,
  type MoveToDelayedOpts,
  type MoveToWaitingChildrenOpts,
  type ParentKeyOpts,
  type RepeatableOptions,
  type RetryJobOpts,
  type RetryOptions,
} from 'bullmq';
import { moveToActive, type NextJob, type TakeOptions } from './activate.js';
import { addFlow, addJob, type FlowEntry } from './add.js';
import { BackendReads } from './backend-reads.js';
import { deduplicationOf } from './deduplication.js';
import { refusalError } from './errors.js';
import { finish, retention } from './finish.js';
import { extendLock, extendLocks } from './locks.js';
import { addLog, clearLogs } from './logs.js';
import {
  changeDelay,
  changePriority,
  clean,
  drain,
  moveAllToWait,
  obliterate,
  pause,
  promote,
  remove,
  removeOrphans,
} from './maintenance.js';
import { limitFor } from './rate-limit.js';
import { detachChild, removeChildren } from './removal.js';
import {
  moveActiveToWait,
  moveToDelayed,
  moveToWaitingChildren,
  retryActive,
  retryFinished,
} from './retry.js';
import { advanceScheduler, removeScheduler, upsertScheduler } from './schedulers.js';
import { recoverStalled } from './stalled.js';
import { type JobFields, updateData, updateProgress } from './update.js';
import { wakeWorkers } from './wake.js';

type FinishedJob = Pick<MinimalJob, 'id' | 'opts'>;

/** What finishing a job gives back. */
interface Finished {
  result: NextJob;
  finishedOn: number;
}

/** The in-memory counterpart of BullMQ's `RedisQueueBackend`. Each command is one synchronous step. */
export class MemoryBackend extends BackendReads implements IQueueBackend {
  forQueue(queueName: string, prefix?: string): MemoryBackend {
    const options = { ...this.options, prefix: prefix ?? this.prefix };
    return new MemoryBackend(this.shared, this.connection, queueName, options, false);
  }

  async addJob(job: JobJson, jobId: string, link: ParentKeyOpts = {}): Promise<string> {
    const result = addJob(this.queue, job, jobId, link);
    return String(this.accept(result, { command: 'addJob', parentKey: link.parentKey }));
  }

  async addJobs(
    entries: { job: JobJson; jobId: string; parentKeyOpts?: ParentKeyOpts }[],
  ): Promise<string[]> {
    const { queue } = this;
    // As with a Redis pipeline, the code of a refusal takes the place of the id.
    return entries.map((entry) =>
      addJob(queue, entry.job, entry.jobId, entry.parentKeyOpts ?? {}),
    ) as string[];
  }

  async addFlow(entries: FlowEntry[]): Promise<[Error | null, string | number][]> {
    this.connection.assertOpen();
    const { store } = this.shared;
    const results = addFlow(entries, ({ prefix, queueName }) => store.queue(`${prefix}:${queueName}`));
    return results.map((result) => [null, result]);
  }

  async addJobScheduler(
    jobSchedulerId: string,
    nextMillis: number,
    templateData: string,
    templateOpts: JobsOptions,
    opts: RepeatableOptions,
    delayedJobOpts: JobsOptions,
    _producerId?: string,
  ): Promise<[string, number]> {
    const result = upsertScheduler(this.queue, {
      id: jobSchedulerId,
      next: nextMillis,
      data: templateData,
      templateOpts,
      repeat: opts,
      jobOpts: delayedJobOpts,
    });
    if (typeof result === 'number') throw refusalError(result, { command: 'addJobScheduler' });
    return result;
  }

  async updateJobSchedulerNextMillis(
    jobSchedulerId: string,
    nextMillis: number,
    _templateData: string,
    delayedJobOpts: JobsOptions,
    producerId?: string,
  ): Promise<string | null> {
    return advanceScheduler(this.queue, jobSchedulerId, nextMillis, delayedJobOpts, producerId);
  }

  async removeJobScheduler(jobSchedulerId: string): Promise<number> {
    return removeScheduler(this.queue, jobSchedulerId);
  }

  async moveToActive(token: string, name?: string): Promise<NextJob> {
    return moveToActive(this.queue, this.#take(token, name));
  }

  async moveToCompleted(
    job: FinishedJob,
    returnValue: unknown,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): Promise<Finished> {
    const keep = retention(removeOnComplete, this.options.removeOnComplete);
    // JSON has no text for undefined or a function, and then the store holds null.
    const value = (JSON.stringify(returnValue) as string | undefined) ?? 'null';
    return this.#finish(job, 'completed', value, keep, token, fetchNext, undefined);
  }

  async moveToFailed(
    job: FinishedJob,
    failedReason: string,
    removeOnFail: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
    fieldsToUpdate?: JobFields,
  ): Promise<Finished> {
    const keep = retention(removeOnFail, this.options.removeOnFail);
    const reason = failedReason === undefined ? 'null' : String(failedReason);
    return this.#finish(job, 'failed', reason, keep, token, fetchNext, fieldsToUpdate);
  }

  async moveToDelayed(
    jobId: string,
    _timestamp: number,
    delay: number,
    token = '0',
    opts: MoveToDelayedOpts = {},
  ): Promise<NextJob> {
    const result = moveToDelayed(this.queue, jobId, {
      delay,
      token,
      skipAttempt: opts.skipAttempt === true,
      fields: opts.fieldsToUpdate,
      next: opts.fetchNext && !this.closing ? this.#take(token, this.options.name) : undefined,
    });
    if (typeof result !== 'number') return result;
    throw refusalError(result, { command: 'moveToDelayed', jobId, state: 'active' });
  }

  async moveToWaitingChildren(
    jobId: string,
    token: string,
    opts: MoveToWaitingChildrenOpts = {},
  ): Promise<boolean> {
    const child = opts.child && getParentKey(opts.child);
    const code = moveToWaitingChildren(this.queue, jobId, token, child);
    return this.accept(code, { command: 'moveToWaitingChildren', jobId, state: 'active' }) === 0;
  }

  async moveJobFromActiveToWait(jobId: string, token = '0'): Promise<number> {
    const left = moveActiveToWait(this.queue, jobId, token);
    return this.accept(left, { command: 'moveJobFromActiveToWait', jobId, state: 'active' });
  }

  async retryJob(jobId: string, lifo: boolean, token = '0', opts: RetryJobOpts = {}): Promise<void> {
    const code = retryActive(this.queue, jobId, lifo, token, opts.fieldsToUpdate);
    this.accept(code, { command: 'retryJob', jobId, state: 'active' });
  }

  async retryFinishedJob(job: FinishedJob, state: FinishedStatus, opts: RetryOptions = {}): Promise<void> {
    const code = retryFinished(this.queue, job.id ?? '', state, job.opts.lifo === true, opts);
    this.accept(code, { command: 'reprocessJob', jobId: job.id, state });
  }

  async promote(jobId: string): Promise<void> {
    this.accept(promote(this.queue, jobId), { command: 'promote', jobId, state: 'delayed' });
  }

  async moveStalledJobsToWait(): Promise<string[]> {
    const { maxStalledCount = 1, stalledInterval = 30_000 } = this.options;
    return recoverStalled(this.queue, maxStalledCount, stalledInterval);
  }

  async retryFinishedJobs(
    state: FinishedStatus = 'failed',
    count = 1000,
    timestamp = Date.now(),
  ): Promise<number> {
    const { queue } = this;
    return moveAllToWait(queue, state, count, queue.directory.time.fromWall(timestamp));
  }

  async promoteJobs(count = 1000): Promise<number> {
    return moveAllToWait(this.queue, 'delayed', count, Infinity);
  }

  async pause(paused: boolean): Promise<void> {
    pause(this.queue, paused);
  }

  async drain(delayed: boolean): Promise<void> {
    drain(this.queue, delayed);
  }

  async cleanJobsByState(state: string, timestamp: number, limit = 0): Promise<string[]> {
    const { queue } = this;
    return clean(queue, state, queue.directory.time.fromWall(timestamp), limit);
  }

  async obliterate(opts: { force: boolean; count: number }): Promise<number> {
    const result = obliterate(this.queue, opts.count, opts.force);
    if (result === -1) throw new Error('Cannot obliterate non-paused queue');
    if (result === -2) throw new Error('Cannot obliterate queue with active jobs');
    return result;
  }

  async removeOrphanedJobs(_count = 1000, limit = 0): Promise<number> {
    return removeOrphans(this.queue, limit);
  }

  async extendLock(jobId: string, token: string, duration: number): Promise<number> {
    return extendLock(this.queue, jobId, token, duration) ? 1 : 0;
  }

  async extendLocks(jobIds: string[], tokens: string[], duration: number): Promise<string[]> {
    return extendLocks(this.queue, jobIds, tokens, duration);
  }

  async updateData(job: FinishedJob, data: unknown): Promise<void> {
    const text = (JSON.stringify(data) as string | undefined) ?? '';
    this.accept(updateData(this.queue, job.id ?? '', text), { command: 'updateData', jobId: job.id });
  }

  async updateProgress(jobId: string, progress: JobProgress): Promise<void> {
    const code = updateProgress(this.queue, jobId, JSON.stringify(progress));
    this.accept(code, { command: 'updateProgress', jobId });
  }

  async addLog(jobId: string, logRow: string, keepLogs?: number): Promise<number> {
    const rows = addLog(this.queue, jobId, String(logRow), keepLogs);
    return this.accept(rows, { command: 'addLog', jobId });
  }

  async clearLogs(jobId: string, keepLogs?: number): Promise<void> {
    clearLogs(this.queue, jobId, keepLogs);
  }

  async changeDelay(jobId: string, delay: number): Promise<void> {
    const code = changeDelay(this.queue, jobId, delay);
    this.accept(code, { command: 'changeDelay', jobId, state: 'delayed' });
  }

  async changePriority(jobId: string, priority = 0, lifo = false): Promise<void> {
    const code = changePriority(this.queue, jobId, priority, lifo);
    this.accept(code, { command: 'changePriority', jobId });
  }

  async remove(jobId: string, removeChildrenToo: boolean): Promise<number> {
    return this.accept(remove(this.queue, jobId, removeChildrenToo), { command: 'removeJob', jobId });
  }

  async removeUnprocessedChildren(jobId: string): Promise<void> {
    const { queue } = this;
    const job = queue.jobs.get(jobId);
    if (job) removeChildren(queue, job, { children: true, keepProcessed: true, keepLocked: true });
  }

  async removeChildDependency(jobId: string, parentKey: string): Promise<boolean> {
    const { queue } = this;
    const job = queue.jobs.get(jobId);
    const parent = queue.directory.find(parentKey);
    const missing = { jobId, parentKey, command: 'removeChildDependency' };
    if (!job) throw refusalError(-1, missing);
    if (!parent) throw refusalError(-5, missing);
    if (!detachChild(queue, job, parent, false)) return false;
    job.parentKey = undefined;
    job.parent = undefined;
    return true;
  }

  async removeDeduplicationKey(deduplicationId: string, jobId: string): Promise<number> {
    const { queue } = this;
    if (deduplicationOf(queue, deduplicationId, queue.now)?.jobId !== jobId) return 0;
    return Number(queue.deduplication.delete(deduplicationId));
  }

  async deleteDeduplicationKey(deduplicationId: string): Promise<number> {
    const { queue } = this;
    if (!deduplicationOf(queue, deduplicationId, queue.now)) return 0;
    return Number(queue.deduplication.delete(deduplicationId));
  }

  async setQueueMeta(values: Record<string, string | number>): Promise<number> {
    const { queue } = this;
    let added = 0;
    for (const [field, value] of Object.entries(values))
      added += Number(queue.meta.set(field, String(value)));
    wakeWorkers(queue);
    return added;
  }

  async removeQueueMetaFields(fields: string[]): Promise<number> {
    const { queue } = this;
    const removed = fields.filter((field) => queue.meta.delete(field)).length;
    wakeWorkers(queue);
    return removed;
  }

  async setRateLimit(expireTimeMs: number): Promise<void> {
    const { queue } = this;
    limitFor(queue, expireTimeMs, queue.now);
    wakeWorkers(queue);
  }

  async removeRateLimitKey(): Promise<number> {
    const { queue } = this;
    const removed = queue.limiter === undefined ? 0 : 1;
    queue.limiter = undefined;
    wakeWorkers(queue);
    return removed;
  }

  /** 0, since this store never had the key that BullMQ's older versions left behind. */
  async removeDeprecatedPriorityKey(): Promise<number> {
    return 0;
  }

  async trimEvents(maxLength: number): Promise<number> {
    return this.queue.events.trim(maxLength);
  }

  async publishEvent(fields: Record<string, string | number>, maxEvents: number): Promise<string> {
    const { events, now } = this.queue;
    const id = events.add(now, Object.entries(fields).flat().map(String));
    events.trim(maxEvents);
    return id;
  }

  #take(token: string, workerName: string | undefined): TakeOptions {
    const { lockDuration = 30_000, limiter } = this.options;
    return { token, lockDuration, limiter, workerName };
  }

  #finish(
    job: FinishedJob,
    status: FinishedStatus,
    value: string,
    keep: KeepJobs,
    token: string,
    fetchNext: boolean,
    fields: JobFields | undefined,
  ): Finished {
    const { queue } = this;
    const { now } = queue;
    const result = finish(
      queue,
      job.id ?? '',
      {
        status,
        value,
        token,
        keep,
        attempts: job.opts.attempts ?? 0,
        maxMetricsPoints: this.options.metrics?.maxDataPoints,
        fields,
        next: fetchNext && !this.closing ? this.#take(token, this.options.name) : undefined,
      },
      now,
    );
    if (typeof result !== 'number') return { result, finishedOn: now };
    throw refusalError(result, { command: 'moveToFinished', jobId: job.id, state: 'active' });
  }
}
