import type { JobJson, RateLimiterOptions } from 'bullmq';
import { dueTime } from './enqueue.js';
import { toJobJson } from './job-json.js';
import type { JobRecord } from './job-record.js';
import { lock } from './locks.js';
import { promoteDue } from './promote-due.js';
import type { QueueData } from './queue-data.js';
import { countStart, limitedFor } from './rate-limit.js';
import { wakeWorkers } from './wake.js';

/** Job, job id, milliseconds of rate limit, moment of the next delayed job; empty where Redis replies 0. */
export type NextJob = [] | [JobJson | null, string | number, number, number];

/** How a worker takes a job. */
export interface TakeOptions {
  readonly token: string;
  readonly lockDuration: number;
  readonly limiter: RateLimiterOptions | undefined;
  readonly workerName: string | undefined;
}

/** The next job, locked and active, or why there is none; undefined for an empty queue. */
export function fetchNext(queue: QueueData, options: TakeOptions, now: number): NextJob | undefined {
  const { time } = queue.directory;
  const closed = !queue.isOpen();
  promoteDue(queue, now);
  const maxJobs = queue.meta.max ?? options.limiter?.max;
  const limited = limitedFor(queue, maxJobs);
  if (limited > 0) return [null, 0, time.forWorker(limited), 0];
  if (closed) return [null, 0, 0, 0];
  const job = queue.wait.popTail() ?? queue.prioritized.popFirst();
  if (job) {
    const duration = options.limiter?.duration ?? queue.meta.duration;
    if (maxJobs !== undefined && job.deferredFailure === undefined) countStart(queue, duration);
    return start(queue, job, options, now);
  }
  queue.priorityCounter = 0;
  const delayed = queue.delayed.first();
  return delayed && [null, 0, 0, time.forWorker(dueTime(delayed))];
}

function start(queue: QueueData, job: JobRecord, options: TakeOptions, now: number): NextJob {
  queue.directory.gate.handedOut(queue.name);
  queue.pushHead('active', job);
  lock(queue, job, options.token, options.lockDuration);
  if (options.workerName) job.processedBy = options.workerName;
  job.processedOn = now;
  job.attemptsStarted += 1;
  queue.emit('event', 'active', 'jobId', job.id, 'prev', 'waiting');
  wakeWorkers(queue);
  return [toJobJson(job), job.id, 0, 0];
}

/** The next job, locked and active, or why there is none. */
export function moveToActive(queue: QueueData, options: TakeOptions): NextJob {
  return fetchNext(queue, options, queue.now) ?? [null, 0, 0, 0];
}
