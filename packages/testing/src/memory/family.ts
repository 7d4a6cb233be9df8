/** Parents and children in the memory store: how an end reaches the parent, and how trees of jobs are removed. */

import type { ChildKeys, EndedJob, EndedRange, EndedSet, Removal, TreeState } from '@umbel/core/internal';
import { addDelayedParent, addPrioritized, wakeWorkers } from './enqueue.js';
import { Children, type JobRecord } from './job-record.js';
import type { LocatedJob, QueueData } from './queue.js';
import { isLocked } from './take.js';

export function childrenOf(job: JobRecord): Children {
  job.children ??= new Children();
  return job.children;
}

export function pendingChildren(job: JobRecord): number {
  return job.children?.pending.size ?? 0;
}

/** Queues a parent that is in no collection: delayed, by priority, or as the next job. */
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

/** Queues a parent that waits for children if none is pending. */
export function releaseIfNonePending(parent: LocatedJob, now: number): void {
  if (pendingChildren(parent.job) === 0) release(parent, now);
}

/** Records in the parent that a child completed. */
export function reportCompleted(parent: LocatedJob, childKey: string, returned: string, now: number): void {
  const { pending, processed } = childrenOf(parent.job);
  if (!pending.delete(childKey)) return;
  processed.set(childKey, returned);
  releaseIfNonePending(parent, now);
}

/** Records in the parent that a child failed for good; the child's options decide what follows. */
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

// The parent fails when a worker takes it, so that its own events and options apply.
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

/** Makes a retried child pending again in a parent that has its result. */
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

/** Deletes a job: its data and its children's results, and its entry in its collection. */
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
 * Removes a job from the pending children of its parent. Returns false if it was none of them. A parent without pending
 * children is queued; with `hard` it is removed instead if it is in the same queue.
 */
export function detachFromParent(queue: QueueData, job: JobRecord, hard: boolean): boolean {
  const parent = job.parentKey === undefined ? undefined : queue.directory.find(job.parentKey);
  return parent !== undefined && detachChild(queue, job, parent, hard);
}

/** Like {@link detachFromParent}, for this parent. */
export function detachChild(queue: QueueData, job: JobRecord, parent: LocatedJob, hard: boolean): boolean {
  if (!parent.job.children?.pending.delete(queue.keyOf(job))) return false;
  if (pendingChildren(parent.job) > 0 || isUnknownToRemovals(parent.job)) return true;
  if (!parent.queue.take('waiting-children', parent.job)) return true;
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

/**
 * BullMQ 6.7: a removal takes the text after the last colon of the parent's key as the parent's id. So it does not find a
 * job of a scheduler, `repeat:<scheduler>:<ms>`, and leaves it among the jobs that wait for children. Umbel's repair starts it.
 */
function isUnknownToRemovals({ id }: JobRecord): boolean {
  return id.includes(':');
}

/** Removes one job without its children. */
export function removeJob(queue: QueueData, job: JobRecord, hard: boolean, freeing = true): void {
  detachFromParent(queue, job, hard);
  if (freeing) freeDeduplication(queue, job);
  forget(queue, job);
}

/** The jobs that a removal with children keeps. */
export interface RemovalScope {
  readonly children: boolean;
  /** Keep finished children. */
  readonly keepProcessed?: boolean;
  /** Keep locked children. */
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

/** Removes a job in any state, its children first. */
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

// Umbel's retention and purge: finding ended jobs, and removing them with all jobs below them.

/** As on Redis: maximum number of jobs of a tree that one command removes, and that one command checks. */
const MAX_TREE = 100;
const MAX_CHECKED = 200;

export function endedJobs(
  queue: QueueData,
  set: EndedSet,
  { from, skip, until, limit }: EndedRange,
): EndedJob[] {
  const found: EndedJob[] = [];
  let toSkip = skip;
  for (const job of queue.sorted(set)) {
    if (job.score > until || found.length >= limit) break;
    if (job.score < from) continue;
    if (toSkip > 0) {
      toSkip -= 1;
      continue;
    }
    const isThere = job.parentKey !== undefined && queue.directory.find(job.parentKey) !== undefined;
    found.push({
      id: job.id,
      endedAt: job.score,
      options: JSON.stringify(job.opts.values),
      parent: job.parentKey === undefined ? 'none' : isThere ? 'there' : 'gone',
    });
  }
  return found;
}

export function removeTrees(queue: QueueData, ids: readonly string[], removal: Removal): TreeState[] {
  const states: TreeState[] = [];
  let budget = MAX_CHECKED;
  for (const id of ids) {
    if (budget <= 0) break;
    const job = queue.jobs.get(id);
    const { state, nodes } = job === undefined ? GONE : treeOf({ queue, job }, removal);
    states.push(state);
    budget -= Math.max(nodes.length, 1);
    if (state === 'ended' && removal.mode !== 'check')
      for (const each of nodes) remove(each, removal.isForgotten === true);
  }
  return states;
}

interface Tree {
  readonly state: TreeState;
  readonly nodes: readonly LocatedJob[];
}

const GONE: Tree = { state: 'ended', nodes: [] };

/** Returns a job with all jobs below it, or the reason why one command cannot remove them. */
function treeOf(root: LocatedJob, { mode, until, isForgotten = false }: Removal): Tree {
  const nodes: LocatedJob[] = [root];
  const seen: string[] = [];
  const rest: string[] = [];
  const open: string[] = [];
  for (const { queue, job } of nodes) {
    const hasEnded = job.placement === 'completed' || job.placement === 'failed';
    const isOpen = !hasEnded || job.score > until;
    if (isOpen && !isForgotten) return { state: 'open', nodes: [] };
    const keys = mode === 'job' ? [] : keysBelow(job);
    if (nodes.length + keys.length > MAX_TREE || keys.some((key) => /\.\d+!$/.test(key))) {
      rest.push(queue.keyOf(job));
      continue;
    }
    seen.push(queue.keyOf(job));
    if (isOpen) open.push(queue.keyOf(job));
    for (const key of keys) {
      const child = queue.directory.find(key);
      if (child !== undefined) nodes.push(child);
    }
  }
  return { state: open.length + rest.length > 0 ? { seen, rest, open } : 'ended', nodes };
}

function remove({ queue, job }: LocatedJob, isForgotten: boolean): void {
  const { placement = 'unknown' } = job;
  forget(queue, job);
  if (isForgotten) queue.emitTrimmed('event', 'removed', 'jobId', job.id, 'prev', placement);
}

export function childKeys(queue: QueueData, id: string): ChildKeys {
  const job = queue.jobs.get(id);
  return { keys: job === undefined ? [] : keysBelow(job) };
}

function keysBelow({ children }: JobRecord): string[] {
  if (children === undefined) return [];
  const { pending, processed, ignored, unsuccessful } = children;
  return [...pending, ...processed.keys(), ...ignored.keys(), ...unsuccessful.keys()];
}

/** Removes an ended child from the lists of its parent. */
export function removeEndedChild(queue: QueueData, parentId: string, childKey: string): void {
  const parent = queue.jobs.get(parentId);
  if (parent === undefined) return;
  const { processed, ignored } = childrenOf(parent);
  processed.delete(childKey);
  ignored.delete(childKey);
}
