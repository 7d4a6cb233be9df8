import { ErrorCode, type JobJson, type ParentKeyOpts } from 'bullmq';
import { deduplicate, keepFirst } from './deduplication.js';
import { storeOptions } from './job-options.js';
import type { JobRecord, NewJob } from './job-record.js';
import { enqueue, storeJob } from './new-job.js';
import { childrenOf, releaseIfNonePending } from './parents.js';
import type { LocatedJob, QueueData } from './queue-data.js';
import { wakeWorkers } from './wake.js';

/** The id of the added job or of the one that stands in for it, or the code of the refusal. */
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
    // BullMQ stamps a job by Date.now(), unless the producer did so by an option.
    timestamp: opts.values.timestamp || directory.time.real ? json.timestamp : queue.now,
    parentKey: json.parentKey || undefined,
    parent: json.parent && { ...json.parent },
    repeatJobKey: json.repeatJobKey,
  };
  const existing = jobId ? queue.jobs.get(added.id) : undefined;
  if (existing) return attachExisting(queue, existing, added, parent, link);
  const waitsForChildren = link.addToWaitingChildren === true;
  const options = opts.values.deduplication;
  const standIn = waitsForChildren
    ? options?.id && keepFirst(queue, options, added)
    : deduplicate(queue, added);
  if (standIn) return standIn;
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

// Adding an id that exists changes nothing but the parent, unless the job has another living parent.
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

/** One job of a flow; the flow's jobs may belong to several queues. */
export interface FlowEntry {
  readonly jobData: JobJson;
  readonly jobId: string;
  readonly parentKeyOpts: ParentKeyOpts;
  readonly prefix: string;
  readonly queueName: string;
}

/** The id of each added job or the code of its refusal. */
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
  // Only now are all children known, so only now can a parent turn out to have nothing to wait for.
  for (const [parentKey, { directory, now }] of parents) {
    const parent = directory.find(parentKey);
    if (!parent) continue;
    if (parent.job.attachmentFailed) parent.job.attachmentFailed = false;
    else releaseIfNonePending(parent, now);
  }
  return results;
}
