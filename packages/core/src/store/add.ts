/** Adding jobs and runs to a store. All of it may be repeated: what is there already stays as it is. */
import { getParentKey, type IQueueBackend, type JobJson, type JobsOptions, type ParentKeyOpts } from 'bullmq';
import { systemClock } from '../base/time.js';
import type { Sealer } from '../codec/codecs.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, type JobNode, jobIdOf, type Parent, sealTree } from '../job/job-tree.js';
import type { NormalizedOptions } from '../job/shared-options.js';
import { slicesOf } from '../workflow/prepare.js';
import type { StoreAccess } from './access.js';
import { optionContentOf, type StoredDeduplication, toJobOptions } from './job-options.js';
import type { EnvelopeQueue } from './queue-pool.js';
import { childrenOf } from './tree.js';

// A job that is to be added, as BullMQ's backends take it. Its `Queue` and its `Job` make the same, and cost more than all
// that Umbel does for a call: they copy the options several times, keep an object with what a job will have once it has
// run, and store in the options again what the job has anyway (its id, its parent).

/** A job that others are added below. */
export interface ParentKey {
  readonly id: string;
  /** Its queue's qualified name. */
  readonly queue: string;
}

/** Options as BullMQ's `add` takes them, without the id. */
export type JobJsonOptions = Omit<JobsOptions, 'jobId' | 'parent' | 'timestamp' | OnFailure>;

/** What a failure of the job does to its parent: it starts at once, or it goes on waiting for the others. */
type OnFailure = 'continueParentOnFailure' | 'ignoreDependencyOnFailure';

/** A job below another one. */
export interface Below {
  readonly parent: ParentKey;
  readonly onFailure: OnFailure;
}

/** Stored now. Its data are what JSON carries; its options have been checked. */
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
    // Of a job that has not run.
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

/** What the store is told of where the job stands. With `waits` it waits for jobs that are added below it. */
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

// Trees of jobs as BullMQ's backend takes them. Its `FlowProducer` makes the same of a flow, but calls itself for each
// child, and the steps of a chain stand below each other: it ends at some thousand of them.

export type FlowEntry = Parameters<IQueueBackend['addFlow']>[0][number];

export interface FlowPlace {
  /** The job that the trees are added below. */
  readonly above?: ParentKey;
  /** How long a tree is kept that stands below none: all of it goes with its root. */
  readonly keep?: JobJsonOptions;
}

/** The jobs of these trees, each after its parent, and members of a group in their order. */
export function flowEntries(
  queueOf: (name: string) => EnvelopeQueue,
  run: string,
  roots: readonly JobNode[],
  { above, keep }: FlowPlace = {},
): FlowEntry[] {
  const entries: FlowEntry[] = [];
  const next = roots.map((node) => ({ node, parent: above })).reverse();
  for (let place = next.pop(); place !== undefined; place = next.pop()) {
    const { node, parent } = place;
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
    const own = { id, queue: queue.qualifiedName };
    for (const child of children.toReversed()) next.push({ node: child, parent: own });
  }
  return entries;
}

/** A job of a flow; with `waits` it waits for jobs that are added below it. */
export interface FlowJob {
  readonly name: string;
  readonly data: object;
  readonly opts: JobJsonOptions;
  readonly below: Below | undefined;
  readonly waits?: boolean;
}

/** One job that is stored together with others. */
export function flowEntry(
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
    // A callback of one task is no run.
    ...((path !== '' || queue === INTERNAL_QUEUE) && { run }),
    ...content,
    ...rest,
    ...optionContentOf(options),
  });
}

/**
 * A node below another continues its parent on failure: the parent starts at once, sees the failure and fails in turn,
 * so that a failure always climbs to the run (BullMQ's default would leave the parent waiting for ever). Where members
 * may fail, the parent goes on waiting for the others.
 */
function belowOf({ mayFail }: JobNode, parent: ParentKey | undefined): Below | undefined {
  if (parent === undefined) return undefined;
  return { parent, onFailure: mayFail ? 'ignoreDependencyOnFailure' : 'continueParentOnFailure' };
}

/** One job to store. */
export interface NewJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly content: EnvelopeContent;
  readonly options: NormalizedOptions;
  readonly deduplication?: StoredDeduplication;
}

export interface AddOptions {
  /** How long it is tried while the store cannot be reached. */
  readonly timeoutMs?: number | undefined;
  /** It may have been added before. */
  readonly isRepeated?: boolean;
}

/** Calls that are added in one round trip. */
export const BULK_SLICE = 500;

/** The id of the job: its own, or that of an equal one that is there already. */
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
  const add = (bull: EnvelopeQueue) => bull.getBackend().addJob(jobJson(id, name, data, options), id, ALONE);
  const adding = access.on(queue, add, timeoutMs);
  if (deduplication?.mode !== 'debounce') return adding;
  return adding.then((added) => {
    if (added === id) return added;
    // If the call that it should replace has left its delay, the store drops the last one, and not an earlier one.
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
 * A debounced call with a longest wait: it takes over from the one whose place it takes since when calls have been coming,
 * and waits no longer than is left. Two that are sent at the same moment find the same beginning.
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
      // One that is due at once would not take the place of one that waits.
      const delay = Math.max(1, Math.min(forMs, since + maxWaitMs - now));
      const options = { ...toJobOptions(job.options, access.keep, deduplication), delay };
      const own = { ...data, debouncedSince: since };
      const add = () => bull.getBackend().addJob(jobJson(id, name, own, options), id, ALONE);
      const added = await add();
      if (added === id || (await bull.getJobState(added)) === 'delayed') return added;
      await bull.removeDeduplicationKey(key ?? ''); // it has left its delay meanwhile
      return add();
    },
    timeoutMs,
  );
}

/** Adds jobs of one queue in one round trip; gives their ids, which are those of equal ones that are there already. */
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
      return { job: jobJson(id, name, data[index] ?? {}, opts), jobId: id, parentKeyOpts: ALONE };
    });
  return access.on(queue, (bull) => bull.getBackend().addJobs(entries()), timeoutMs);
}

/** Of a job that stands by itself. */
const ALONE = linkOf(undefined);

/** Adds a whole run, so that nothing of it starts before all of it is there. */
export async function addRun(
  access: StoreAccess,
  run: string,
  root: JobNode,
  { timeoutMs, isRepeated = false }: AddOptions = {},
): Promise<void> {
  const sealed = await sealTree(access.sealer, run, root);
  if (root.children === undefined || root.children.length === 0)
    return addAlone(access, run, sealed, timeoutMs);
  let mayBeThere = isRepeated;
  await access.reach(async () => {
    // A child that is there and has failed would be waited for again, and for ever.
    if (mayBeThere && (await isWholeStored(access, run, root))) return;
    mayBeThere = true;
    await access.backends.base().addFlow(flowEntries(access.queueOf, run, [sealed], { keep: access.keep }));
  }, timeoutMs);
}

/** Adds a run of one job: one command, which leaves a job of this id as it is. */
async function addAlone(
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
  const place = { queue: parent.queue, id: jobIdOf(run, parent.path) };
  const above = access.parentKeyOf(place);
  for (const slice of slicesOf(nodes)) {
    const sealed: JobNode[] = [];
    for (const node of slice) sealed.push(await sealTree(access.sealer, run, node));
    let mayBeThere = isRepeated;
    await access.reach(async () => {
      // As in `addRun`.
      const missing = mayBeThere ? await notAdded(access, run, place, sealed) : sealed;
      mayBeThere = true;
      if (missing.length === 0) return;
      await access.backends.base().addFlow(flowEntries(access.queueOf, run, missing, { above }));
    }, timeoutMs);
  }
}

/** Adds a job of this id below another one; its parent is told if it is there and has completed. */
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

/** The data of a job; a promise of them if they have to be sealed. */
function dataOf(sealer: Sealer, job: NewJob): Envelope | Promise<Envelope> {
  const { id, name, content } = job;
  if (!sealer.isActive || content.input === undefined) return unsealed(job);
  const context = { subject: 'input', id, task: name } as const;
  return sealer.seal(content.input, context).then((input) => ({ ...unsealed(job), input }));
}

function unsealed({ content, options }: NewJob): Envelope {
  return encodeEnvelope(content, optionContentOf(options));
}

/** Whether the last jobs of a run have been stored, too, see `guards/sliced-flows.ts`. */
async function isWholeStored(access: StoreAccess, run: string, root: JobNode): Promise<boolean> {
  const line = [root];
  for (let node = root.children?.[0]; node !== undefined; node = node.children?.[0]) line.push(node);
  // Those that are there are the first ones: they are stored from the root on, and go from the other end on.
  let [stored, absent] = [-1, line.length];
  while (absent - stored > 1) {
    const middle = (stored + absent) >> 1;
    const node = line[middle];
    if (node !== undefined && (await isStored(access, run, node))) stored = middle;
    else absent = middle;
  }
  const deepest = line[stored];
  if (deepest === undefined) return false;
  if (stored === line.length - 1) return true;
  // Its child is not there yet, or not any more; then it has ended, or knows it.
  const place = { queue: deepest.queue, id: jobIdOf(run, deepest.path) };
  if ((await access.backends.queue(place.queue).getJobState(place.id)) !== 'waiting-children') return true;
  for await (const _child of childrenOf(access, place)) return true;
  return false;
}

async function isStored({ backends }: StoreAccess, run: string, { path, queue }: JobNode): Promise<boolean> {
  return (await backends.queue(queue).getJobState(jobIdOf(run, path))) !== 'unknown';
}

/** W13: its parent knows a child that has ended also after its record has expired. */
async function notAdded(
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
