/** Adding jobs to the memory store: ids, deduplication, parents and flows, as BullMQ's Lua scripts do it. */

import { type DeduplicationOptions, ErrorCode, type JobJson, type ParentKeyOpts } from 'bullmq';
import { addDelayed, addPrioritized, addWaiting, wakeWorkers } from './enqueue.js';
import { childrenOf, forget, releaseIfNonePending } from './family.js';
import { JobRecord, type NewJob, storeOptions } from './job-record.js';
import type { DeduplicationEntry, LocatedJob, QueueData } from './queue.js';

/** Returns the entry of a deduplication id unless it has expired. */
export function deduplicationOf(queue: QueueData, id: string): DeduplicationEntry | undefined {
  const entry = queue.deduplication.get(id);
  if (entry?.expiresAt === undefined || queue.leaseNow <= entry.expiresAt) return entry;
  queue.deduplication.delete(id);
  return undefined;
}

/** Assigns a deduplication id to a job: for the option's `ttl`, or without an end with `keepLastIfActive`. */
export function holdDeduplication(queue: QueueData, options: DeduplicationOptions, jobId: string): void {
  const { ttl = 0, keepLastIfActive } = options;
  const expiresAt = ttl > 0 && !keepLastIfActive ? queue.leaseNow + ttl : undefined;
  queue.deduplication.set(options.id, { jobId, expiresAt });
}

/** Returns the id of the existing job that is used instead of the new one, if any. */
function deduplicate(queue: QueueData, added: NewJob): string | undefined {
  const options = added.opts.values.deduplication;
  if (!options?.id) return undefined;
  if (options.replace) return replaceDelayed(queue, options, added);
  const existingId = keepFirst(queue, options, added);
  const job = existingId !== undefined && options.reschedule ? queue.jobs.get(existingId) : undefined;
  if (job && queue.take('delayed', job)) {
    job.delay = added.opts.values.delay ?? 0;
    addDelayed(queue, job, added.timestamp, job.delay);
  }
  return existingId;
}

/** Like {@link deduplicate}, without the options `replace` and `reschedule`. */
function keepFirst(queue: QueueData, options: DeduplicationOptions, added: NewJob): string | undefined {
  const entry = deduplicationOf(queue, options.id);
  if (!entry) {
    holdDeduplication(queue, options, added.id);
    return undefined;
  }
  const { jobId } = entry;
  if (recoverStale(queue, entry, options, added.id)) return undefined;
  if (keepAsNext(queue, entry, options, added)) return jobId;
  if (options.extend && (options.ttl ?? 0) > 0) holdDeduplication(queue, options, jobId);
  emitDeduplicated(queue, jobId, options.id, added.id);
  return jobId;
}

function replaceDelayed(queue: QueueData, options: DeduplicationOptions, added: NewJob): string | undefined {
  const entry = deduplicationOf(queue, options.id);
  if (!entry) {
    holdDeduplication(queue, options, added.id);
    return undefined;
  }
  const replaced = queue.jobs.get(entry.jobId);
  if (replaced?.placement !== 'delayed') {
    if (recoverStale(queue, entry, options, added.id)) return undefined;
    keepAsNext(queue, entry, options, added);
    return entry.jobId;
  }
  forget(queue, replaced);
  queue.emit('event', 'removed', 'jobId', replaced.id, 'prev', 'delayed');
  emitDeduplicated(queue, added.id, options.id, replaced.id);
  queue.deduplicatedNext.delete(options.id);
  if (!options.keepLastIfActive && !options.extend && (options.ttl ?? 0) > 0) entry.jobId = added.id;
  else holdDeduplication(queue, options, added.id);
  return undefined;
}

/** Assigns an id without an end to the new job if its job no longer exists. */
function recoverStale(
  queue: QueueData,
  entry: DeduplicationEntry,
  options: DeduplicationOptions,
  jobId: string,
): boolean {
  if (entry.expiresAt !== undefined || queue.jobs.has(entry.jobId)) return false;
  queue.deduplicatedNext.delete(options.id);
  holdDeduplication(queue, options, jobId);
  return true;
}

/** Whether the new job was kept to be added when the active one finishes. */
function keepAsNext(
  queue: QueueData,
  entry: DeduplicationEntry,
  options: DeduplicationOptions,
  added: NewJob,
): boolean {
  if (!options.keepLastIfActive || queue.jobs.get(entry.jobId)?.placement !== 'active') return false;
  queue.deduplicatedNext.set(options.id, added);
  entry.expiresAt = undefined;
  emitDeduplicated(queue, entry.jobId, options.id, added.id);
  return true;
}

function emitDeduplicated(queue: QueueData, jobId: string, deduplicationId: string, other: string): void {
  queue.emitTrimmed(
    'event',
    'deduplicated',
    'jobId',
    jobId,
    'deduplicationId',
    deduplicationId,
    'deduplicatedJobId',
    other,
  );
}

/** Frees the deduplication id of a finished job unless its `ttl` has not expired. */
export function freeAfterFinish(queue: QueueData, id: string, jobId: string): void {
  const entry = deduplicationOf(queue, id);
  if (
    entry &&
    (entry.expiresAt === queue.leaseNow || (entry.expiresAt === undefined && entry.jobId === jobId))
  ) {
    queue.deduplication.delete(id);
  }
}

/** Stores a job, which is in no state yet, and emits `added`. */
export function storeJob(queue: QueueData, added: NewJob): JobRecord {
  const { id, name, opts } = added;
  const job = new JobRecord(id, name, added.data, opts, added.timestamp);
  job.delay = opts.values.delay ?? 0;
  job.priority = opts.values.priority ?? 0;
  job.deduplicationId = opts.values.deduplication?.id;
  job.repeatJobKey = added.repeatJobKey;
  job.parentKey = added.parentKey;
  job.parent = added.parent;
  queue.jobs.set(id, job);
  queue.emit('event', 'added', 'jobId', id, 'name', name);
  return job;
}

/** Moves a stored job to the state of its options: delayed, prioritized or waiting. */
export function enqueue(queue: QueueData, job: JobRecord): void {
  if (job.delay > 0) {
    addDelayed(queue, job, job.timestamp, job.delay);
    return;
  }
  if (job.priority > 0) addPrioritized(queue, job, job.priority);
  else addWaiting(queue, job, job.opts.values.lifo === true);
  queue.emitTrimmed('event', 'waiting', 'jobId', job.id);
}

/** Adds a job. Returns its id, the id of the existing job that is used instead, or the code of the refusal. */
export function addJob(
  queue: QueueData,
  json: JobJson,
  jobId: string | undefined,
  link: ParentKeyOpts,
): string | number {
  const { directory } = queue;
  const parent = json.parentKey ? directory.find(json.parentKey) : undefined;
  if (json.parentKey && !parent) return ErrorCode.ParentJobNotExist;
  queue.lastId += 1;
  queue.meta.maxEvents();
  const opts = storeOptions(json.opts);
  const added: NewJob = {
    id: jobId || String(queue.lastId),
    name: json.name,
    data: json.data,
    opts,
    // BullMQ sets the time of a job with Date.now() unless the producer passed the option.
    timestamp: opts.values.timestamp || directory.time.real ? json.timestamp : queue.now,
    parentKey: json.parentKey || undefined,
    parent: json.parent && { ...json.parent },
    repeatJobKey: json.repeatJobKey,
  };
  const existing = jobId ? queue.jobs.get(added.id) : undefined;
  if (existing) return attachExisting(queue, existing, added, parent, link);
  const waitsForChildren = link.addToWaitingChildren === true;
  const options = opts.values.deduplication;
  const existingId = waitsForChildren
    ? options?.id && keepFirst(queue, options, added)
    : deduplicate(queue, added);
  if (existingId) return existingId;
  const job = storeJob(queue, added);
  if (waitsForChildren) {
    queue.place('waiting-children', job, job.timestamp);
    queue.emitTrimmed('event', 'waiting-children', 'jobId', job.id);
  } else {
    enqueue(queue, job);
  }
  if (parent && link.parentDependenciesKey) childrenOf(parent.job).pending.add(queue.keyOf(job));
  wakeWorkers(queue);
  return job.id;
}

/** Handles an existing id: only the parent changes, and only if the job has no other stored parent. */
function attachExisting(
  queue: QueueData,
  job: JobRecord,
  added: NewJob,
  parent: LocatedJob | undefined,
  link: ParentKeyOpts,
): string | number {
  const movable =
    job.parentKey === undefined || job.parentKey === added.parentKey || !queue.directory.find(job.parentKey);
  if (!movable && parent) {
    if (link.deferParentRelease) parent.job.attachmentFailed = true;
    return ErrorCode.ParentJobCannotBeReplaced;
  }
  if (movable && parent) attach(queue, job, added, parent, link);
  queue.emitTrimmed('event', 'duplicated', 'jobId', job.id);
  return job.id;
}

function attach(
  queue: QueueData,
  job: JobRecord,
  added: NewJob,
  parent: LocatedJob,
  link: ParentKeyOpts,
): void {
  const key = queue.keyOf(job);
  const children = childrenOf(parent.job);
  if (job.placement === 'completed') {
    children.processed.set(key, job.returnvalue ?? 'null');
    if (!link.deferParentRelease) releaseIfNonePending(parent, queue.now);
  } else if (link.parentDependenciesKey) {
    children.pending.add(key);
  }
  job.parentKey = added.parentKey;
  job.parent = added.parent;
}

/** One job of a BullMQ flow, whose jobs may belong to several queues. */
export interface FlowEntry {
  readonly jobData: JobJson;
  readonly jobId: string;
  readonly parentKeyOpts: ParentKeyOpts;
  readonly prefix: string;
  readonly queueName: string;
}

/** Adds the jobs of a flow. Returns the id of each job, or the code of its refusal. */
export function addFlow(
  entries: readonly FlowEntry[],
  queueOf: (entry: FlowEntry) => QueueData,
): (string | number)[] {
  const parents = new Map<string, QueueData>();
  const results = entries.map((entry) => {
    const queue = queueOf(entry);
    const { parentKey } = entry.parentKeyOpts;
    if (entry.jobData.parent && parentKey) parents.set(parentKey, queue);
    return addJob(queue, entry.jobData, entry.jobId, { ...entry.parentKeyOpts, deferParentRelease: true });
  });
  // All children are known only now, so only now a parent may have no pending child.
  for (const [parentKey, { directory, now }] of parents) {
    const parent = directory.find(parentKey);
    if (!parent) continue;
    if (parent.job.attachmentFailed) parent.job.attachmentFailed = false;
    else releaseIfNonePending(parent, now);
  }
  return results;
}
