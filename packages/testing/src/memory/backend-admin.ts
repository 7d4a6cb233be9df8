import type { FinishedStatus, JobsOptions, RepeatableOptions } from 'bullmq';
import { deduplicationOf } from './add.js';
import { refusalError } from './backend-base.js';
import { BackendReads } from './backend-reads.js';
import { wakeWorkers } from './enqueue.js';
import { changeLimits, limitFor, type QueueLimits } from './limits.js';
import { clean, drain, moveAllToWait, obliterate, pause, removeOrphans } from './maintenance.js';
import { advanceScheduler, removeScheduler, upsertScheduler } from './schedulers.js';
import { recoverStalled } from './store.js';

/** The part of a backend that changes whole queues: schedulers, settings, limits and maintenance. */
export class BackendAdmin extends BackendReads {
  addJobScheduler(
    jobSchedulerId: string,
    nextMillis: number,
    templateData: string,
    templateOpts: JobsOptions,
    opts: RepeatableOptions,
    delayedJobOpts: JobsOptions,
    _producerId?: string,
  ): Promise<[string, number]> {
    return this.command((queue) => {
      const result = upsertScheduler(queue, {
        id: jobSchedulerId,
        next: nextMillis,
        data: templateData,
        templateOpts,
        repeat: opts,
        jobOpts: delayedJobOpts,
      });
      if (typeof result === 'number') throw refusalError(result, { command: 'addJobScheduler' });
      return result;
    });
  }

  updateJobSchedulerNextMillis(
    jobSchedulerId: string,
    nextMillis: number,
    _templateData: string,
    delayedJobOpts: JobsOptions,
    producerId?: string,
  ): Promise<string | null> {
    return this.command((queue) =>
      advanceScheduler(queue, jobSchedulerId, nextMillis, delayedJobOpts, producerId),
    );
  }

  removeJobScheduler(jobSchedulerId: string): Promise<number> {
    return this.command((queue) => removeScheduler(queue, jobSchedulerId));
  }

  retryFinishedJobs(state: FinishedStatus = 'failed', count = 1000, timestamp = Date.now()): Promise<number> {
    return this.command((queue) =>
      moveAllToWait(queue, state, count, queue.directory.time.fromWall(timestamp)),
    );
  }

  promoteJobs(count = 1000): Promise<number> {
    return this.command((queue) => moveAllToWait(queue, 'delayed', count, Infinity));
  }

  pause(paused: boolean): Promise<void> {
    return this.command((queue) => {
      pause(queue, paused);
    });
  }

  drain(delayed: boolean): Promise<void> {
    return this.command((queue) => {
      drain(queue, delayed);
    });
  }

  cleanJobsByState(state: string, timestamp: number, limit = 0): Promise<string[]> {
    return this.command((queue) => clean(queue, state, queue.directory.time.fromWall(timestamp), limit));
  }

  obliterate(opts: { force: boolean; count: number }): Promise<number> {
    return this.command((queue) => {
      const result = obliterate(queue, opts.count, opts.force);
      if (result === -1) throw new Error('Cannot obliterate non-paused queue');
      if (result === -2) throw new Error('Cannot obliterate queue with active jobs');
      return result;
    });
  }

  removeOrphanedJobs(_count = 1000, limit = 0): Promise<number> {
    return this.command((queue) => removeOrphans(queue, limit));
  }

  removeDeduplicationKey(deduplicationId: string, jobId: string): Promise<number> {
    return this.command((queue) => {
      if (deduplicationOf(queue, deduplicationId)?.jobId !== jobId) return 0;
      return Number(queue.deduplication.delete(deduplicationId));
    });
  }

  deleteDeduplicationKey(deduplicationId: string): Promise<number> {
    return this.command((queue) => {
      if (!deduplicationOf(queue, deduplicationId)) return 0;
      return Number(queue.deduplication.delete(deduplicationId));
    });
  }

  setQueueMeta(values: Record<string, string | number>): Promise<number> {
    return this.command((queue) => {
      let added = 0;
      for (const [field, value] of Object.entries(values))
        added += Number(queue.meta.set(field, String(value)));
      wakeWorkers(queue);
      return added;
    });
  }

  removeQueueMetaFields(fields: string[]): Promise<number> {
    return this.command((queue) => {
      const removed = fields.filter((field) => queue.meta.delete(field)).length;
      wakeWorkers(queue);
      return removed;
    });
  }

  setRateLimit(expireTimeMs: number): Promise<void> {
    return this.command((queue) => {
      limitFor(queue, expireTimeMs);
      wakeWorkers(queue);
    });
  }

  removeRateLimitKey(): Promise<number> {
    return this.command((queue) => {
      const removed = queue.limiter === undefined ? 0 : 1;
      queue.limiter = undefined;
      wakeWorkers(queue);
      return removed;
    });
  }

  /** Not in BullMQ's contract: sets the limits of the queue (null removes one) and wakes waiting workers. */
  setLimits(limits: QueueLimits): Promise<void> {
    return this.command((queue) => {
      changeLimits(queue, limits);
      wakeWorkers(queue);
    });
  }

  /** Returns 0: this store never had the key of older BullMQ versions. */
  removeDeprecatedPriorityKey(): Promise<number> {
    return this.command(() => 0);
  }

  trimEvents(maxLength: number): Promise<number> {
    return this.command((queue) => queue.events.trim(maxLength));
  }

  publishEvent(fields: Record<string, string | number>, maxEvents: number): Promise<string> {
    return this.command((queue) => {
      const { events, now } = queue;
      events.add(now, Object.entries(fields).flat().map(String));
      events.trim(maxEvents);
      return events.lastId;
    });
  }

  moveStalledJobsToWait(): Promise<string[]> {
    return this.command((queue) => {
      const { maxStalledCount = 1, stalledInterval = 30_000 } = this.options;
      return recoverStalled(queue, maxStalledCount, stalledInterval);
    });
  }
}
