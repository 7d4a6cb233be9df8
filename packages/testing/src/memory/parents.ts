import { addDelayedParent, addPrioritized } from './enqueue.js';
import { Children, type JobRecord } from './job-record.js';
import type { LocatedJob, QueueData } from './queue-data.js';
import { wakeWorkers } from './wake.js';

export function childrenOf(job: JobRecord): Children {
  job.children ??= new Children();
  return job.children;
}

export function pendingChildren(job: JobRecord): number {
  return job.children?.pending.size ?? 0;
}

/** Queues a parent that is nowhere: delayed, by priority, or as the next to be taken. */
function queueParent({ queue, job }: LocatedJob, now: number): void {
  if (job.delay > 0) {
    addDelayedParent(queue, job, now + job.delay);
  } else {
    if (job.priority > 0) addPrioritized(queue, job, job.priority);
    else queue.pushTail('wait', job);
    queue.emit('event', 'waiting', 'jobId', job.id, 'prev', 'waiting-children');
  }
  wakeWorkers(queue);
}

/** Queues a parent that waits for children. */
function release(parent: LocatedJob, now: number): void {
  if (parent.queue.take('waiting-children', parent.job)) queueParent(parent, now);
}

/** Queues a parent that waits for children if none is left. */
export function releaseIfNonePending(parent: LocatedJob, now: number): void {
  if (pendingChildren(parent.job) === 0) release(parent, now);
}

/** Tells the parent that its child completed. */
export function reportCompleted(parent: LocatedJob, childKey: string, returned: string, now: number): void {
  const { pending, processed } = childrenOf(parent.job);
  if (!pending.delete(childKey)) return;
  processed.set(childKey, returned);
  releaseIfNonePending(parent, now);
}

/** Tells the parent that its child failed for good; what follows is for the child's options to say. */
export function reportFailed(
  parent: LocatedJob,
  child: JobRecord,
  childKey: string,
  reason: string,
  now: number,
): void {
  const flags = child.parent;
  if (!flags) return;
  const { fpof, cpof, idof, rdof } = flags;
  if (!fpof && !cpof && !idof && !rdof) return;
  const children = childrenOf(parent.job);
  if (!children.pending.delete(childKey)) return;
  if (fpof) {
    children.unsuccessful.set(childKey, now);
    failWithChild(parent, childKey, now);
  } else if (cpof) {
    children.ignored.set(childKey, reason);
    release(parent, now);
  } else {
    if (idof) children.ignored.set(childKey, reason);
    releaseIfNonePending(parent, now);
  }
}

// The parent is queued to fail when a worker takes it, so that its own events and options apply.
function failWithChild(parent: LocatedJob, childKey: string, now: number): void {
  const { queue, job } = parent;
  const reason = `child ${childKey} failed`;
  if (queue.take('waiting-children', job)) {
    job.deferredFailure = reason;
    queueParent(parent, now);
  } else if (queue.take('delayed', job)) {
    job.delay = 0;
    job.deferredFailure = reason;
    queueParent(parent, now);
  } else if (job.placement !== 'failed') {
    job.deferredFailure = reason;
  }
}

/** Makes a retried child pending again for a parent that has its result. */
export function reattachChild(queue: QueueData, child: JobRecord, from: 'failed' | 'completed'): void {
  const parent = child.parentKey === undefined ? undefined : queue.directory.find(child.parentKey);
  const children = parent?.job.children;
  if (!children) return;
  const key = queue.keyOf(child);
  const known =
    from === 'completed'
      ? children.processed.delete(key)
      : children.unsuccessful.delete(key) || children.ignored.delete(key);
  if (known) children.pending.add(key);
}
