import type { JobRecord } from './job-record.js';
import { isLocked } from './locks.js';
import { pendingChildren } from './parents.js';
import type { LocatedJob, QueueData } from './queue-data.js';
import { wakeWorkers } from './wake.js';

/** Forgets a job: its data, its children's results and its place. */
export function forget(queue: QueueData, job: JobRecord): void {
  queue.detach(job);
  queue.jobs.delete(job.id);
  queue.stalling.delete(job.id);
}

/** Frees the deduplication id that the job holds. */
export function freeDeduplication(queue: QueueData, job: JobRecord): void {
  const id = job.deduplicationId;
  if (id === undefined || queue.deduplication.get(id)?.jobId !== job.id) return;
  queue.deduplication.delete(id);
  queue.deduplicatedNext.delete(id);
}

/**
 * Whether a parent had the job among its pending children, which it is taken out of. A parent left without
 * any is queued; with `hard` it is removed instead when it lives in the same queue.
 */
export function detachFromParent(queue: QueueData, job: JobRecord, hard: boolean): boolean {
  const parent = job.parentKey === undefined ? undefined : queue.directory.find(job.parentKey);
  return parent !== undefined && detachChild(queue, job, parent, hard);
}

/** As {@link detachFromParent}, for a given parent. */
export function detachChild(queue: QueueData, job: JobRecord, parent: LocatedJob, hard: boolean): boolean {
  if (!parent.job.children?.pending.delete(queue.keyOf(job))) return false;
  if (pendingChildren(parent.job) > 0 || !parent.queue.take('waiting-children', parent.job)) return true;
  if (hard && parent.queue === queue) {
    detachFromParent(queue, parent.job, true);
    forget(queue, parent.job);
    if (job.deduplicationId !== undefined) queue.deduplication.delete(job.deduplicationId);
    return true;
  }
  parent.queue.pushTail('wait', parent.job);
  if (!hard) {
    parent.queue.emit('event', 'waiting', 'jobId', parent.job.id, 'prev', 'waiting-children');
  }
  wakeWorkers(parent.queue);
  return true;
}

/** Removes one job, leaving its children alone. */
export function removeJob(queue: QueueData, job: JobRecord, hard: boolean, freeing = true): void {
  detachFromParent(queue, job, hard);
  if (freeing) freeDeduplication(queue, job);
  forget(queue, job);
}

/** Which jobs a removal with children spares. */
export interface RemovalScope {
  readonly children: boolean;
  /** Spare finished children. */
  readonly keepProcessed?: boolean;
  /** Spare locked children instead of removing them. */
  readonly keepLocked?: boolean;
}

/** Whether the job or, with `children`, any of its pending descendants is locked. */
export function isTreeLocked(queue: QueueData, job: JobRecord, children: boolean): boolean {
  if (isLocked(queue, job)) return true;
  if (!children) return false;
  for (const key of job.children?.pending ?? []) {
    const child = queue.directory.find(key);
    if (child && isTreeLocked(child.queue, child.job, true)) return true;
  }
  return false;
}

/** Removes a job from wherever it is, its children first. */
export function removeTree(queue: QueueData, job: JobRecord, scope: RemovalScope, parent?: LocatedJob): void {
  if (scope.keepLocked && isLocked(queue, job)) return;
  if (scope.keepProcessed && job.placement === 'failed') return;
  if (parent) detachChild(queue, job, parent, false);
  else detachFromParent(queue, job, false);
  if (scope.children) removeChildren(queue, job, scope);
  const previous = queue.detach(job) ?? 'unknown';
  freeDeduplication(queue, job);
  if (queue.jobs.get(job.id) !== job) return;
  forget(queue, job);
  queue.emitTrimmed('event', 'removed', 'jobId', job.id, 'prev', previous);
}

/** Removes the children of a job and their children. */
export function removeChildren(queue: QueueData, job: JobRecord, scope: RemovalScope): void {
  const { children } = job;
  if (!children) return;
  const finished = [
    ...children.processed.keys(),
    ...children.ignored.keys(),
    ...children.unsuccessful.keys(),
  ];
  for (const key of [...(scope.keepProcessed ? [] : finished), ...children.pending]) {
    const child = queue.directory.find(key);
    if (child) removeTree(child.queue, child.job, scope, { queue, job });
  }
}
