/** This module adds jobs and runs to a store. Every function may be repeated: jobs that already exist stay unchanged. */
import { getParentKey, type IQueueBackend, type JobJson, type JobsOptions, type ParentKeyOpts } from 'bullmq';
import { systemClock } from '../base/time.js';
import type { Sealer } from '../codec/codecs.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, type JobNode, jobIdOf, type Parent, sealTree } from '../job/job-tree.js';
import type { NormalizedOptions } from '../job/shared-options.js';
import { slicesOf } from '../workflow/prepare.js';
import type { StoreAccess } from './access.js';
import { driverOf } from './engine/drivers.js';
import { optionContentOf, type StoredDeduplication, toJobOptions } from './job-options.js';
import type { EnvelopeQueue } from './queue-pool.js';
import { childrenOf } from './tree.js';

// Records of new jobs in the form that BullMQ's backends accept. BullMQ's `Queue` and `Job` build the same records at a
// higher cost than all of Umbel's work for a call: they copy the options several times, allocate fields for later results,
// and store the id and the parent of the job in its options again.

/** A job that other jobs are added below. */
export interface ParentKey {
  readonly id: string;
  /** Qualified name of its queue. */
  readonly queue: string;
}

/** Options in the form of BullMQ's `add`, without the id. */
export type JobJsonOptions = Omit<JobsOptions, 'jobId' | 'parent' | 'timestamp' | OnFailure>;

/** Effect of a failure of the job on its parent: the parent starts at once, or it keeps waiting for the other children. */
type OnFailure = 'continueParentOnFailure' | 'ignoreDependencyOnFailure';

/** Position of a job below its parent. */
export interface Below {
  readonly parent: ParentKey;
  readonly onFailure: OnFailure;
}

/** Returns the record of a job that is stored now. Its data must be valid JSON values; its options have been checked. */
export function jobJson(
  id: string,
  name: string,
  data: object,
  opts: JobJsonOptions,
  below?: Below,
): JobJson {
  const json: JobJson = {
    id,
    name,
    data: JSON.stringify(data),
    opts,
    timestamp: systemClock.now(),
    // Values of a job that has not run.
    progress: 0,
    attemptsMade: 0,
    attemptsStarted: 0,
    stalledCounter: 0,
    failedReason: 'null',
    returnvalue: 'null',
  };
  if (opts.deduplication !== undefined) json.deduplicationId = opts.deduplication.id;
  if (below === undefined) return json;
  const { parent, onFailure } = below;
  const flag = onFailure === 'continueParentOnFailure' ? { cpof: true } : { idof: true };
  json.parent = { id: parent.id, queueKey: parent.queue, ...flag };
  json.parentKey = keyOf(parent);
  return json;
}

/** Returns the relation of a job to its parent. With `waits` the job waits for jobs that are added below it. */
export function linkOf(below: Below | undefined, waits = false): ParentKeyOpts {
  const link: ParentKeyOpts = {};
  if (below !== undefined) {
    link.parentKey = keyOf(below.parent);
    link.parentDependenciesKey = `${link.parentKey}:dependencies`;
  }
  if (waits) link.addToWaitingChildren = true;
  return link;
}

function keyOf({ id, queue }: ParentKey): string {
  return getParentKey({ id, queue }) ?? '';
}

// Trees of jobs in the form that BullMQ's backend accepts. BullMQ's `FlowProducer` recurses for each child, and the steps
// of a chain are nested: it overflows the stack at a few thousand steps.

export type FlowEntry = Parameters<IQueueBackend['addFlow']>[0][number];

export interface FlowPlace {
  /** Parent of the roots of the trees. */
  readonly above?: ParentKey;
  /** Retention of a tree without a parent: all its jobs are removed with its root. */
  readonly keep?: JobJsonOptions;
}

/** Returns the jobs of the trees: each after its parent, and members of a group in their order. */
export function flowEntries(
  queueOf: (name: string) => EnvelopeQueue,
  run: string,
  roots: readonly JobNode[],
  { above, keep }: FlowPlace = {},
): FlowEntry[] {
  const entries: FlowEntry[] = [];
  const next = roots.map((node) => ({ node, parent: above })).reverse();
  for (let entry = next.pop(); entry !== undefined; entry = next.pop()) {
    const { node, parent } = entry;
    const id = jobIdOf(run, node.path);
    const queue = queueOf(node.queue);
    const { name, children = [] } = node;
    entries.push(
      flowEntry(queue, id, {
        name,
        data: nodeData(run, node),
        opts: toJobOptions(node.options, parent === undefined ? keep : undefined),
        below: belowOf(node, parent),
        waits: children.length > 0,
      }),
    );
    if (children.length === 0) continue;
    const key = { id, queue: queue.qualifiedName };
    for (const child of children.toReversed()) next.push({ node: child, parent: key });
  }
  return entries;
}

/** A job of a flow. With `waits` it waits for jobs that are added below it. */
interface FlowJob {
  readonly name: string;
  readonly data: object;
  readonly opts: JobJsonOptions;
  readonly below: Below | undefined;
  readonly waits?: boolean;
}

/** Returns the entry of one job that is stored together with others. */
function flowEntry(
  { name: queueName, opts: { prefix = '' } }: EnvelopeQueue,
  id: string,
  { name, data, opts, below, waits }: FlowJob,
): FlowEntry {
  return {
    jobData: jobJson(id, name, data, opts, below),
    jobId: id,
    parentKeyOpts: linkOf(below, waits),
    prefix,
    queueName,
  };
}

function nodeData(run: string, node: JobNode): object {
  const {
    path,
    name: _name,
    queue,
    options,
    children: _,
    open: _open,
    mayFail: _may,
    content,
    ...rest
  } = node;
  return encodeEnvelope({
    // A callback that is a single task is not a run.
    ...((path !== '' || queue === INTERNAL_QUEUE) && { run }),
    ...content,
    ...rest,
    ...optionContentOf(options),
  });
}

/**
 * Returns the position of a node below its parent. On failure the parent starts at once, sees the failure and fails too,
 * so that a failure always reaches the run (BullMQ's default would leave the parent waiting forever). Where members may
 * fail, the parent keeps waiting for the others.
 */
function belowOf({ mayFail }: JobNode, parent: ParentKey | undefined): Below | undefined {
  if (parent === undefined) return undefined;
  return { parent, onFailure: mayFail ? 'ignoreDependencyOnFailure' : 'continueParentOnFailure' };
}

/** A job to store. */
export interface NewJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly content: EnvelopeContent;
  readonly options: NormalizedOptions;
  readonly deduplication?: StoredDeduplication;
  /** Whether a store that notes calls also notes this one by its task. */
  readonly isIndexed?: boolean;
}

export interface AddOptions {
  /** How long the command is retried while the store is unreachable. */
  readonly timeoutMs?: number | undefined;
  /** Whether the jobs may have been added before. */
  readonly isRepeated?: boolean;
}

/** Maximum number of calls that are added in one round trip. */
export const BULK_SLICE = 500;

/** Adds a job. Returns its id, or the id of the stored job that it duplicates. */
export function addJob(access: StoreAccess, job: NewJob, timeoutMs?: number): Promise<string> {
  const data = dataOf(access.sealer, job);
  return data instanceof Promise
    ? data.then((sealed) => addWith(access, job, sealed, timeoutMs))
    : addWith(access, job, data, timeoutMs);
}

function addWith(access: StoreAccess, job: NewJob, data: Envelope, timeoutMs?: number): Promise<string> {
  const { id, name, queue, deduplication } = job;
  if (deduplication?.maxWaitMs !== undefined) return addBounded(access, job, data, timeoutMs);
  const options = toJobOptions(job.options, access.keep, deduplication);
  const add = (bull: EnvelopeQueue) =>
    bull.getBackend().addJob(jobJson(id, name, data, options), id, NO_PARENT);
  const adding = access.on(queue, add, timeoutMs);
  if (deduplication?.mode !== 'debounce') return adding;
  return adding.then((added) => {
    if (added === id) return added;
    // If the call to replace is no longer delayed, the store drops the new call; so add it again without that key.
    return access.on(
      queue,
      async (bull) => {
        if ((await bull.getJobState(added)) === 'delayed') return added;
        await bull.removeDeduplicationKey(deduplication.id);
        return add(bull);
      },
      timeoutMs,
    );
  });
}

/**
 * Adds a debounced call with `maxWait`. It inherits the start of the series of calls from the job that it replaces, and its
 * delay ends at `maxWait` after that start. Two calls that are sent at the same moment find the same start.
 */
function addBounded(
  access: StoreAccess,
  job: NewJob,
  data: Envelope,
  timeoutMs: number | undefined,
): Promise<string> {
  const { id, name, queue, deduplication, content } = job;
  const { id: key, forMs = 0, maxWaitMs = 0 } = deduplication ?? {};
  const { debouncedSince: now = 0 } = content;
  return access.on(
    queue,
    async (bull) => {
      const earlier = key === undefined ? null : await bull.getDeduplicationJobId(key);
      const replaced = earlier === null ? undefined : await bull.getJob(earlier);
      const isWaiting = replaced !== undefined && (await bull.getJobState(replaced.id ?? '')) === 'delayed';
      if (key !== undefined && earlier !== null && !isWaiting) await bull.removeDeduplicationKey(key);
      const since = (isWaiting ? replaced.data.debouncedSince : undefined) ?? now;
      // A job without a delay would not replace a delayed one.
      const delay = Math.max(1, Math.min(forMs, since + maxWaitMs - now));
      const options = { ...toJobOptions(job.options, access.keep, deduplication), delay };
      const bounded = { ...data, debouncedSince: since };
      const add = () => bull.getBackend().addJob(jobJson(id, name, bounded, options), id, NO_PARENT);
      const added = await add();
      if (added === id || (await bull.getJobState(added)) === 'delayed') return added;
      await bull.removeDeduplicationKey(key ?? ''); // the replaced job has just left its delay
      return add();
    },
    timeoutMs,
  );
}

/** Adds jobs of one queue in one round trip. Returns their ids; a duplicate has the id of the stored job. */
export async function addJobs(
  access: StoreAccess,
  queue: string,
  jobs: readonly NewJob[],
  timeoutMs?: number,
): Promise<string[]> {
  const { sealer } = access;
  const data = sealer.isActive
    ? await Promise.all(jobs.map((job) => dataOf(sealer, job)))
    : jobs.map((job) => unsealed(job));
  const entries = () =>
    jobs.map(({ id, name, options, deduplication }, index) => {
      const opts = toJobOptions(options, access.keep, deduplication);
      return { job: jobJson(id, name, data[index] ?? {}, opts), jobId: id, parentKeyOpts: NO_PARENT };
    });
  return access.on(queue, (bull) => bull.getBackend().addJobs(entries()), timeoutMs);
}

/** Returns whether the store runs commands in the order in which they are issued, and later ones can be issued meanwhile. */
export function addsInOrder(access: StoreAccess): boolean {
  return driverOf(access.backends.base())?.shareCommands !== undefined;
}

/** Relation of a job that has neither parent nor children. */
const NO_PARENT = linkOf(undefined);

/** Adds a whole run. None of its jobs starts before all of them are stored. */
export async function addRun(
  access: StoreAccess,
  run: string,
  root: JobNode,
  { timeoutMs, isRepeated = false }: AddOptions = {},
): Promise<void> {
  const sealed = await sealTree(access.sealer, run, root);
  if (root.children === undefined || root.children.length === 0)
    return addSingleJobRun(access, run, sealed, timeoutMs);
  let mayBeThere = isRepeated;
  await access.reach(async () => {
    // If a stored, failed child were added again, its parent would wait for it forever.
    if (mayBeThere && (await isWholeStored(access, run, root))) return;
    mayBeThere = true;
    await access.backends.base().addFlow(flowEntries(access.queueOf, run, [sealed], { keep: access.keep }));
  }, timeoutMs);
}

/** Adds a run of one job with one command, which leaves a stored job with this id unchanged. */
async function addSingleJobRun(
  access: StoreAccess,
  run: string,
  node: JobNode,
  timeoutMs: number | undefined,
): Promise<void> {
  const [entry] = flowEntries(access.queueOf, run, [node], { keep: access.keep });
  if (entry === undefined) return;
  const { jobData, jobId, parentKeyOpts } = entry;
  await access.on(node.queue, (bull) => bull.getBackend().addJob(jobData, jobId, parentKeyOpts), timeoutMs);
}

/** Adds nodes as further children of a job that has not ended. */
export async function addChildren(
  access: StoreAccess,
  run: string,
  parent: Parent,
  nodes: readonly JobNode[],
  { timeoutMs, isRepeated = false }: AddOptions = {},
): Promise<void> {
  const parentRef = { queue: parent.queue, id: jobIdOf(run, parent.path) };
  const above = access.parentKeyOf(parentRef);
  for (const slice of slicesOf(nodes)) {
    const sealed: JobNode[] = [];
    for (const node of slice) sealed.push(await sealTree(access.sealer, run, node));
    let mayBeThere = isRepeated;
    await access.reach(async () => {
      // See `addRun`.
      const missing = mayBeThere ? await withoutStored(access, run, parentRef, sealed) : sealed;
      mayBeThere = true;
      if (missing.length === 0) return;
      await access.backends.base().addFlow(flowEntries(access.queueOf, run, missing, { above }));
    }, timeoutMs);
  }
}

/** Adds a job below a parent. If the job is stored and has completed, the store notifies the parent. */
export async function addBelow(
  access: StoreAccess,
  parent: JobRef,
  { queue, id }: JobRef,
  name: string,
  data: object,
): Promise<void> {
  const below: Below = { parent: access.parentKeyOf(parent), onFailure: 'continueParentOnFailure' };
  const { backends } = access;
  await access.reach(() =>
    backends.base().addFlow([flowEntry(backends.queue(queue), id, { name, data, opts: {}, below })]),
  );
}

/** Returns the data of a job, or a promise of them if the input has to be encoded. */
function dataOf(sealer: Sealer, job: NewJob): Envelope | Promise<Envelope> {
  const { id, name, content } = job;
  if (!sealer.isActive || content.input === undefined) return unsealed(job);
  const context = { subject: 'input', id, task: name } as const;
  return sealer.encode(content.input, context).then((input) => ({ ...unsealed(job), input }));
}

function unsealed({ content, options, isIndexed }: NewJob): Envelope {
  const more = optionContentOf(options);
  if (isIndexed) return encodeEnvelope({ indexed: true, ...more }, content); // in this order: see `INDEXED_DATA`
  return more === undefined ? encodeEnvelope(content) : encodeEnvelope(more, content);
}

/** Returns whether all jobs of a run are stored, the last slice included (see `slicesFlows` in `guards/scripts.ts`). */
async function isWholeStored(access: StoreAccess, run: string, root: JobNode): Promise<boolean> {
  const path = [root];
  for (let node = root.children?.[0]; node !== undefined; node = node.children?.[0]) path.push(node);
  // The stored jobs are the first ones: jobs are stored from the root down and removed from the leaves up.
  let [stored, absent] = [-1, path.length];
  while (absent - stored > 1) {
    const middle = (stored + absent) >> 1;
    const node = path[middle];
    if (node !== undefined && (await isStored(access, run, node))) stored = middle;
    else absent = middle;
  }
  const deepest = path[stored];
  if (deepest === undefined) return false;
  if (stored === path.length - 1) return true;
  // Its child is not stored yet, or was removed; in the second case the parent has ended or still lists the child.
  const deepestRef = { queue: deepest.queue, id: jobIdOf(run, deepest.path) };
  if ((await access.backends.queue(deepestRef.queue).getJobState(deepestRef.id)) !== 'waiting-children')
    return true;
  for await (const _child of childrenOf(access, deepestRef)) return true;
  return false;
}

async function isStored({ backends }: StoreAccess, run: string, { path, queue }: JobNode): Promise<boolean> {
  return (await backends.queue(queue).getJobState(jobIdOf(run, path))) !== 'unknown';
}

/** Returns the nodes that the store does not hold. W13: a parent lists an ended child even after its record has expired. */
async function withoutStored(
  access: StoreAccess,
  run: string,
  parent: JobRef,
  nodes: readonly JobNode[],
): Promise<JobNode[]> {
  const known = new Set<string>();
  for await (const { id } of childrenOf(access, parent)) known.add(id);
  const unknown = nodes.filter(({ path }) => !known.has(jobIdOf(run, path)));
  const areStored = await Promise.all(unknown.map((node) => isStored(access, run, node)));
  return unknown.filter((_, index) => !areStored[index]);
}
