/** The backend of the memory store that BullMQ's classes use. */

import type {
  ChildKeys,
  EndedJob,
  EndedRange,
  EndedSet,
  HistoryEntry,
  PurgedSet,
  PurgeRequest,
  PurgeSlice,
  PurgeStart,
  Removal,
  TreeState,
} from '@umbel/core/internal';
import {
  type FinishedStatus,
  getParentKey,
  type IQueueBackend,
  type JobJson,
  type JobProgress,
  type KeepJobs,
  type MinimalJob,
  type MoveToDelayedOpts,
  type MoveToWaitingChildrenOpts,
  type ParentKeyOpts,
  type RetryJobOpts,
  type RetryOptions,
} from 'bullmq';
import { addFlow, addJob, type FlowEntry } from './add.js';
import { refusalError } from './backend-base.js';
import { BackendSignals } from './backend-signals.js';
import {
  childKeys,
  detachChild,
  endedJobs,
  removeChildren,
  removeEndedChild,
  removeTrees,
} from './family.js';
import {
  type DataCondition,
  finish,
  type JobFields,
  moveActiveToWait,
  moveToDelayed,
  moveToWaitingChildren,
  replaceData,
  retention,
  retryActive,
  retryFinished,
  updateData,
  updateProgress,
} from './finish.js';
import { addLog, clearLogs } from './limits.js';
import { changeDelay, changePriority, promote, purgeSlice, purgeStart, remove } from './maintenance.js';
import type { QueueData } from './queue.js';
import type { TaggedEntry, TagNote } from './tags.js';
import {
  extendLock,
  extendLocks,
  hasLock,
  moveToActive,
  type NextJob,
  type TakeOptions,
  takeLock,
} from './take.js';

type FinishedJob = Pick<MinimalJob, 'id' | 'opts'>;

/** The result of finishing a job. */
interface Finished {
  result: NextJob;
  finishedOn: number;
}

/** The in-memory counterpart of BullMQ's `RedisQueueBackend`. Each command is one synchronous step. */
export class MemoryBackend extends BackendSignals implements IQueueBackend {
  forQueue(queueName: string, prefix?: string): MemoryBackend {
    const options = { ...this.options, prefix: prefix ?? this.prefix };
    return new MemoryBackend(this.shared, this.connection, queueName, options, false);
  }

  addJob(job: JobJson, jobId: string, link: ParentKeyOpts = {}): Promise<string> {
    return this.command((queue) => {
      const result = addJob(queue, job, jobId, link);
      return String(this.accept(result, { command: 'addJob', parentKey: link.parentKey }));
    });
  }

  addJobs(entries: { job: JobJson; jobId: string; parentKeyOpts?: ParentKeyOpts }[]): Promise<string[]> {
    return this.command((queue) => {
      // As in a Redis pipeline, the code of a refusal replaces the id.
      return entries.map((entry) =>
        addJob(queue, entry.job, entry.jobId, entry.parentKeyOpts ?? {}),
      ) as string[];
    });
  }

  addFlow(entries: FlowEntry[]): Promise<[Error | null, string | number][]> {
    return this.command(() => {
      const { store } = this.shared;
      const results = addFlow(entries, ({ prefix, queueName }) => store.queue(`${prefix}:${queueName}`));
      return results.map((result) => [null, result]);
    });
  }

  moveToActive(token: string, name?: string): Promise<NextJob> {
    return this.command((queue) => moveToActive(queue, this.#take(token, name)));
  }

  moveToCompleted(
    job: FinishedJob,
    returnValue: unknown,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
  ): Promise<Finished> {
    return this.command((queue) => {
      const keep = retention(removeOnComplete, this.options.removeOnComplete);
      // JSON cannot represent undefined or a function: the store contains null then.
      const value = (JSON.stringify(returnValue) as string | undefined) ?? 'null';
      return this.#finish(queue, job, 'completed', value, keep, token, fetchNext, undefined);
    });
  }

  moveToFailed(
    job: FinishedJob,
    failedReason: string,
    removeOnFail: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
    fieldsToUpdate?: JobFields,
  ): Promise<Finished> {
    return this.command((queue) => {
      const keep = retention(removeOnFail, this.options.removeOnFail);
      const reason = failedReason === undefined ? 'null' : String(failedReason);
      return this.#finish(queue, job, 'failed', reason, keep, token, fetchNext, fieldsToUpdate);
    });
  }

  moveToDelayed(
    jobId: string,
    _timestamp: number,
    delay: number,
    token = '0',
    opts: MoveToDelayedOpts = {},
  ): Promise<NextJob> {
    return this.command((queue) => {
      const result = moveToDelayed(queue, jobId, {
        delay,
        token,
        skipAttempt: opts.skipAttempt === true,
        fields: opts.fieldsToUpdate,
        next: opts.fetchNext && !this.closing ? this.#take(token, this.options.name) : undefined,
      });
      if (typeof result !== 'number') return result;
      throw refusalError(result, { command: 'moveToDelayed', jobId, state: 'active' });
    });
  }

  moveToWaitingChildren(
    jobId: string,
    token: string,
    opts: MoveToWaitingChildrenOpts = {},
  ): Promise<boolean> {
    return this.command((queue) => {
      const child = opts.child && getParentKey(opts.child);
      const code = moveToWaitingChildren(queue, jobId, token, child);
      return this.accept(code, { command: 'moveToWaitingChildren', jobId, state: 'active' }) === 0;
    });
  }

  moveJobFromActiveToWait(jobId: string, token = '0'): Promise<number> {
    return this.command((queue) => {
      const left = moveActiveToWait(queue, jobId, token);
      return this.accept(left, { command: 'moveJobFromActiveToWait', jobId, state: 'active' });
    });
  }

  retryJob(jobId: string, lifo: boolean, token = '0', opts: RetryJobOpts = {}): Promise<void> {
    return this.command((queue) => {
      const code = retryActive(queue, jobId, lifo, token, opts.fieldsToUpdate);
      this.accept(code, { command: 'retryJob', jobId, state: 'active' });
    });
  }

  retryFinishedJob(job: FinishedJob, state: FinishedStatus, opts: RetryOptions = {}): Promise<void> {
    return this.command((queue) => {
      const code = retryFinished(queue, job.id ?? '', state, job.opts.lifo === true, opts);
      this.accept(code, { command: 'reprocessJob', jobId: job.id, state });
    });
  }

  promote(jobId: string): Promise<void> {
    return this.command((queue) => {
      this.accept(promote(queue, jobId), { command: 'promote', jobId, state: 'delayed' });
    });
  }

  extendLock(jobId: string, token: string, duration: number): Promise<number> {
    return this.command((queue) => (extendLock(queue, jobId, token, duration) ? 1 : 0));
  }

  extendLocks(jobIds: string[], tokens: string[], duration: number): Promise<string[]> {
    return this.command((queue) => extendLocks(queue, jobIds, tokens, duration));
  }

  /** Not in BullMQ's contract: locks a job again whose lock has expired. Returns whether it is locked. */
  takeLock(jobId: string, token: string, starts: number, durationMs: number): Promise<boolean> {
    return this.command((queue) => takeLock(queue, jobId, { token, starts, durationMs }));
  }

  /** Not in BullMQ's contract: whether a worker holds the lock of a job. */
  hasLock(jobId: string): Promise<boolean> {
    return this.command((queue) => hasLock(queue, jobId));
  }

  /** Not in BullMQ's contract: replaces a job's data if it still equals this text. */
  replaceData(jobId: string, current: string, next: string, only?: DataCondition): Promise<boolean> {
    return this.command((queue) => replaceData(queue, jobId, current, next, only));
  }

  /** Not in BullMQ's contract: removes ended children from the lists of their parent. */
  removeChildResults(parentId: string, childKeys: readonly string[]): Promise<void> {
    return this.command((queue) => {
      for (const key of childKeys) removeEndedChild(queue, parentId, key);
    });
  }

  /** Not in BullMQ's contract: the history of attempts, see `HistoryPrimitives` of the core. */
  addHistory(entries: readonly HistoryEntry[], maxTasks: number, other: string): Promise<void> {
    return this.command((queue) => queue.history.add(entries, maxTasks, other, queue.lockNow));
  }

  readHistory(slots: readonly string[], task: string): Promise<readonly string[]> {
    return this.command(({ history }) => history.read(slots, task));
  }

  readHistoryTasks(slots: readonly string[]): Promise<readonly (readonly [task: string, counts: string])[]> {
    return this.command(({ history }) => history.tasks(slots));
  }

  /** Not in BullMQ's contract: the tag index, see `Primitives` of the core. */
  noteTags(notes: readonly TagNote[]): Promise<void> {
    return this.command(({ tags }) => tags.note(notes));
  }

  findTagged(
    tag: string,
    limit: number,
    from: TaggedEntry | undefined,
    isBehind: boolean,
  ): Promise<readonly TaggedEntry[]> {
    return this.command(({ tags }) => tags.find(tag, limit, from, isBehind));
  }

  checkTags(
    now: number,
    limit: number,
    keeping: { readonly completedMs: number; readonly failedMs: number },
  ): Promise<number> {
    return this.command(({ tags, directory }) =>
      tags.check(now, limit, keeping, (queue, id) => {
        const job = directory.queue(`${this.prefix}:${queue}`).jobs.get(id);
        return job && { finishedOn: job.finishedOn, hasFailed: job.placement === 'failed' };
      }),
    );
  }

  /** Not in BullMQ's contract, like the next two: removal of ended jobs with all jobs below them. */
  endedJobs(set: EndedSet, range: EndedRange): Promise<EndedJob[]> {
    return this.command((queue) => endedJobs(queue, set, range));
  }

  queueNames(start: string): Promise<{ names: string[]; isComplete: boolean }> {
    return this.command(() => ({ names: this.shared.store.queueNames(start), isComplete: true }));
  }

  endedAt(set: EndedSet, jobId: string): Promise<number | undefined> {
    return this.command((queue) => {
      const job = queue.jobs.get(jobId);
      return job?.placement === set ? job.score : undefined;
    });
  }

  removeTrees(ids: readonly string[], removal: Removal): Promise<TreeState[]> {
    return this.command((queue) => removeTrees(queue, ids, removal));
  }

  childKeys(id: string): Promise<ChildKeys> {
    return this.command((queue) => childKeys(queue, id));
  }

  /** Not in BullMQ's contract, like the next one: emptying a queue. */
  purgeStart(set: PurgedSet): Promise<PurgeStart> {
    return this.command((queue) => purgeStart(queue, set));
  }

  purgeSlice(set: PurgedSet, request: PurgeRequest): Promise<PurgeSlice> {
    return this.command((queue) => purgeSlice(queue, set, request));
  }

  /** Not in BullMQ's contract: rejects if the store refuses writes, for example by an injected fault. */
  tryWrite(): Promise<void> {
    return this.command(() => {});
  }

  updateData(job: FinishedJob, data: unknown): Promise<void> {
    return this.command((queue) => {
      const text = (JSON.stringify(data) as string | undefined) ?? '';
      this.accept(updateData(queue, job.id ?? '', text), { command: 'updateData', jobId: job.id });
    });
  }

  updateProgress(jobId: string, progress: JobProgress): Promise<void> {
    return this.command((queue) => {
      const code = updateProgress(queue, jobId, JSON.stringify(progress));
      this.accept(code, { command: 'updateProgress', jobId });
    });
  }

  addLog(jobId: string, logRow: string, keepLogs?: number): Promise<number> {
    return this.command((queue) => {
      const rows = addLog(queue, jobId, String(logRow), keepLogs);
      return this.accept(rows, { command: 'addLog', jobId });
    });
  }

  clearLogs(jobId: string, keepLogs?: number): Promise<void> {
    return this.command((queue) => {
      clearLogs(queue, jobId, keepLogs);
    });
  }

  changeDelay(jobId: string, delay: number): Promise<void> {
    return this.command((queue) => {
      const code = changeDelay(queue, jobId, delay);
      this.accept(code, { command: 'changeDelay', jobId, state: 'delayed' });
    });
  }

  changePriority(jobId: string, priority = 0, lifo = false): Promise<void> {
    return this.command((queue) => {
      const code = changePriority(queue, jobId, priority, lifo);
      this.accept(code, { command: 'changePriority', jobId });
    });
  }

  remove(jobId: string, removeChildrenToo: boolean): Promise<number> {
    return this.command((queue) =>
      this.accept(remove(queue, jobId, removeChildrenToo), { command: 'removeJob', jobId }),
    );
  }

  removeUnprocessedChildren(jobId: string): Promise<void> {
    return this.command((queue) => {
      const job = queue.jobs.get(jobId);
      if (job) removeChildren(queue, job, { children: true, keepProcessed: true, keepLocked: true });
    });
  }

  removeChildDependency(jobId: string, parentKey: string): Promise<boolean> {
    return this.command((queue) => {
      const job = queue.jobs.get(jobId);
      const parent = queue.directory.find(parentKey);
      const missing = { jobId, parentKey, command: 'removeChildDependency' };
      if (!job) throw refusalError(-1, missing);
      if (!parent) throw refusalError(-5, missing);
      if (!detachChild(queue, job, parent, false)) return false;
      job.parentKey = undefined;
      job.parent = undefined;
      return true;
    });
  }

  #take(token: string, workerName: string | undefined): TakeOptions {
    const { lockDuration = 30_000, limiter } = this.options;
    return { token, lockDuration, limiter, workerName };
  }

  #finish(
    queue: QueueData,
    job: FinishedJob,
    status: FinishedStatus,
    value: string,
    keep: KeepJobs,
    token: string,
    fetchNext: boolean,
    fields: JobFields | undefined,
  ): Finished {
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
