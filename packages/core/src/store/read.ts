/** This module reads jobs of a store: records, states, failures, progress, logs and children. */
import { CorruptJobError, type FailureOrigin, isUmbelError } from '../base/errors.js';
import { type CodecContext, isSealed, SEALED } from '../codec/codecs.js';
import { sanitize } from '../codec/masking.js';
import type { FailedChild, JobRef } from '../job/job.js';
import type { Revoked } from '../job/revocation.js';
import type { StoreAccess } from './access.js';
import { type EndedSet, endedOrderIn, endedTimesIn } from './primitives/ended-jobs.js';
import { jobRecordsPrimitiveOf, type OtherJob, type RecordsAsked } from './primitives/job-records.js';
import { type ChildNumbers, childNumbersPrimitiveOf } from './primitives/run-trees.js';
import type { Store } from './store.js';
import {
  jobOfRecord,
  momentOf,
  openProgress,
  type StoredJob,
  shownState,
  splitProgress,
  storedJobOf,
} from './stored-job.js';
import {
  type ChildKind,
  type ChildPlace,
  childrenOf,
  ifBroken,
  type JobAccess,
  readablePartOf,
} from './tree.js';

/** Returns the result in a stored text. @throws {CorruptJobError} if it is not valid JSON or not a valid value. */
export function parsedResult(id: string, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CorruptJobError(id, 'its result is not valid JSON', { cause });
  }
  checkResult(id, value);
  return value;
}

/** Checks a parsed result. @throws {CorruptJobError} if it is not a valid value. */
export function checkResult(id: string, value: unknown): void {
  const fault = sanitize(value);
  if (fault !== undefined) throw new CorruptJobError(id, `its result is unusable: ${fault}`);
}

/** Returns the job, without unreadable values; undefined if the store does not hold it. */
export async function readJob(
  access: StoreAccess,
  { queue, id }: JobRef,
  timeoutMs?: number,
): Promise<StoredJob | undefined> {
  const job = await access.on(queue, (bull) => bull.getJob(id).catch(ifBroken), timeoutMs);
  return job && storedJobOf(access.sealer, queue, job);
}

/** A job that was read together with others. */
export interface ListedRecord {
  /** Without unreadable values; undefined if the store does not hold the job or its record is broken. */
  readonly job: StoredJob | undefined;
  /** BullMQ's state when it was read; undefined if it is not known. */
  readonly state?: string;
  /** Whether other jobs were added below it; true if that is not known. */
  readonly mayHaveChildren: boolean;
  /** Present if the job has another name than the one asked for, and was not read. */
  readonly other?: OtherJob;
}

/** Number of jobs that one command reads in about a millisecond. */
const RECORDS_AT_ONCE = 50;

/** Reads jobs of a queue, in the order of their ids. Jobs with another name than the one asked for may be left out. */
export async function readJobs(
  access: StoreAccess,
  queue: string,
  ids: readonly string[],
  asked: RecordsAsked = { withState: false },
): Promise<ListedRecord[]> {
  const slices: (readonly string[])[] = [];
  for (let start = 0; start < ids.length; start += RECORDS_AT_ONCE)
    slices.push(ids.slice(start, start + RECORDS_AT_ONCE));
  return (await Promise.all(slices.map((slice) => readSlice(access, queue, slice, asked)))).flat();
}

async function readSlice(
  access: StoreAccess,
  queue: string,
  ids: readonly string[],
  asked: RecordsAsked,
): Promise<ListedRecord[]> {
  const records =
    ids.length === 1 && !asked.withState
      ? undefined
      : await access.on(queue, async (bull) =>
          jobRecordsPrimitiveOf(bull.getBackend())?.readRecords(ids, asked),
        );
  return Promise.all(
    ids.map(async (id, index): Promise<ListedRecord> => {
      const record = records?.[index];
      if (record === undefined) return { job: await readJob(access, { queue, id }), mayHaveChildren: true };
      const { json, state, hasChildren = true, other } = record;
      if (other !== undefined) return { job: undefined, mayHaveChildren: hasChildren, other };
      const job = json && (await jobOfRecord(access.sealer, access.queueOf(queue), id, json));
      return { job, ...(state !== undefined && { state }), mayHaveChildren: hasChildren };
    }),
  );
}

/** Returns the state of a job, or the custom state that its running handler has set. */
export async function jobStateOf(access: StoreAccess, place: JobRef): Promise<string> {
  const state = await access.on(place.queue, (bull) => bull.getJobState(place.id));
  const needsJob = state === 'active' || state === 'completed' || state === 'failed';
  return shownState(state, needsJob ? await readJob(access, place) : undefined);
}

/** Returns whether the store holds the job, readable or not. */
export async function isHeld(access: JobAccess, place: JobRef): Promise<boolean> {
  return (await isFound(access, place)) ?? (await storedStateOf(access, place)) !== 'unknown';
}

/** No job has this name, so the contents of records are left out. */
const NO_NAME = ' ';

/** Returns whether one command finds the job, without a search in a long list; undefined if no command tells. */
async function isFound(access: JobAccess, { queue, id }: JobRef): Promise<boolean | undefined> {
  const asked = { withState: true, name: NO_NAME };
  const records = await access.on(queue, async (bull) =>
    jobRecordsPrimitiveOf(bull.getBackend())?.readRecords([id], asked),
  );
  const [record] = records ?? [];
  if (record === undefined) return undefined;
  const { json, other, state = 'unknown' } = record;
  return json !== undefined || other !== undefined || state !== 'unknown';
}

/** Returns the first of some queues that holds a job, readable or not; undefined if none does. Asks all of them at once. */
export async function queueOfJob(
  access: JobAccess,
  queues: readonly string[],
  id: string,
): Promise<string | undefined> {
  const found = await Promise.all(queues.map((queue) => isFound(access, { queue, id })));
  const first = queues.find((_, index) => found[index]);
  if (first !== undefined) return first;
  const others = queues.filter((_, index) => found[index] === undefined);
  for (const queue of others) if ((await storedStateOf(access, { queue, id })) !== 'unknown') return queue;
  return undefined;
}

/** Returns what each of some queues holds of a job, read at once. */
export async function jobInQueues(
  access: StoreAccess,
  queues: readonly string[],
  id: string,
): Promise<readonly ListedRecord[]> {
  const found = queues.map((queue) => readJobs(access, queue, [id], { withState: true }));
  return (await Promise.all(found)).flat();
}

/** Returns why a job failed: as its worker recorded it, else the reason in the store. */
export async function failureOf(access: StoreAccess, place: JobRef, reason: string): Promise<FailureOrigin> {
  return failureIn(await readJob(access, place), place, reason);
}

/** Returns why a job that was read failed. */
export function failureIn(job: StoredJob | undefined, { id }: JobRef, reason: string): FailureOrigin {
  const { envelope, name = 'unknown' } = job ?? {};
  return envelope?.failure ?? { task: name, jobId: id, error: { name: 'Error', message: reason } };
}

/** Reported progress of a job. */
export interface Progress {
  readonly value: unknown;
  /** The value as JSON, for comparisons; undefined if there is none or it is unreadable. */
  readonly json: string | undefined;
  /** The job's task, if it was read. */
  readonly task?: string;
}

/**
 * Returns reported progress from the JSON of an event or of the store, which any program may have written.
 * @param task Task of the job, which codecs need for decoding. Without it, the job is read.
 */
export function progressIn(
  access: StoreAccess,
  place: JobRef,
  text: string,
  task: string | undefined,
): Progress | Promise<Progress> {
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    return { value: undefined, json: undefined };
  }
  const { value, state } = splitProgress(stored);
  if (isSealed(value)) return openedProgress(access, place, value, task);
  if (sanitize(value) !== undefined) return { value: undefined, json: undefined };
  return state === undefined && value !== undefined
    ? { value, json: text }
    : { value, json: JSON.stringify(value) };
}

async function openedProgress(
  access: StoreAccess,
  place: JobRef,
  sealed: unknown,
  task: string | undefined,
): Promise<Progress> {
  const job = task === undefined ? await readJob(access, place) : undefined;
  const name = task ?? job?.name;
  const value =
    job === undefined ? await openProgress(access.sealer, place.id, task ?? '', sealed) : job.progress;
  return { value, json: JSON.stringify(value), ...(name !== undefined && { task: name }) };
}

/** Returns the lines that the job's handler has logged, oldest first. */
export async function logsOf(access: StoreAccess, place: JobRef): Promise<string[]> {
  const { logs } = await access.on(place.queue, (bull) => bull.getJobLogs(place.id));
  const job = logs.some(isSealedLine) ? await readJob(access, place) : undefined;
  const context = { subject: 'log', id: place.id, task: job?.name ?? '' } as const;
  return Promise.all(logs.map((line) => (isSealedLine(line) ? openedLine(access, line, context) : line)));
}

/** Returns the stored results of the completed children of a job, by job id. */
export async function childResultsOf(
  access: StoreAccess,
  { queue, id }: JobRef,
): Promise<ReadonlyMap<string, unknown>> {
  const values = await access.on(queue, (bull) => bull.getBackend().getProcessedChildrenValues(id));
  return new Map(
    Object.entries(values).map(([key, text]) => {
      const child = access.placeOf(key).id;
      return [child, parsedResult(child, text)];
    }),
  );
}

/** Returns the failed children of a job that did not fail it. */
export async function failedChildrenOf(access: StoreAccess, { queue, id }: JobRef): Promise<FailedChild[]> {
  const failures = await access.on(queue, (bull) => bull.getBackend().getIgnoredChildrenFailures(id));
  return Object.entries(failures).map(([key, reason]) => ({ ...access.placeOf(key), reason }));
}

/** Returns the parent of a job, if it has one. */
export async function parentOf(access: StoreAccess, { queue, id }: JobRef): Promise<JobRef | undefined> {
  const job = await access.on(queue, (bull) => bull.getJob(id).catch(ifBroken));
  return job?.parentKey === undefined ? undefined : access.placeOf(job.parentKey);
}

/** Returns the topmost ancestor of a job. */
export async function topOf(access: StoreAccess, place: JobRef): Promise<JobRef> {
  for (let top = place; ; ) {
    const parent = await parentOf(access, top);
    if (parent === undefined) return top;
    top = parent;
  }
}

/** Returns what of a run was revoked: all of it, or jobs with certain tags. Undefined if the store does not hold the run. */
export async function revokedOf(access: StoreAccess, run: JobRef): Promise<Revoked | undefined> {
  const job = await readJob(access, run);
  if (job === undefined) return undefined;
  const { revoked, skipped, revokedTags = [] } = job.envelope ?? {};
  const all = revoked !== undefined;
  return { all, ...(all && skipped && { skipped }), tags: revokedTags };
}

/** Returns a decoded line, or the stored text if no codec here can decode it. */
async function openedLine({ sealer }: StoreAccess, line: string, context: CodecContext): Promise<string> {
  try {
    return String(await sealer.decode(JSON.parse(line), context));
  } catch (error) {
    if (error instanceof SyntaxError || isUmbelError(error, 'CORRUPT_JOB')) return line;
    throw error;
  }
}

/** Returns whether codecs encoded a log line; lines of other programs may be any JSON. */
function isSealedLine(line: string): boolean {
  return line.startsWith(`{"${SEALED}":"`);
}

// States of jobs of a run, read without their results.

export interface Standing {
  readonly state: string;
  /** Absent if it is unreadable. */
  readonly job: StoredJob | undefined;
}

/** Returns a job with its state; undefined if the store does not hold it. */
export async function standingOf(store: Store, { queue, id }: JobRef): Promise<Standing | undefined> {
  // One round trip, in this order: fields that belong to the state exist when the job is read.
  const [state, job] = await Promise.all([
    store.on(queue, (bull) => bull.getJobState(id)),
    readJob(store, { queue, id }),
  ]);
  return state === 'unknown' ? undefined : { state: shownState(state, job), job };
}

/** Returns the children of a job, each once. */
export async function childPlaces(
  store: Store,
  place: JobRef,
  kinds: readonly ChildKind[] = ['unprocessed', 'processed', 'ignored'],
): Promise<ChildPlace[]> {
  // First pages in one round trip, in this order: a child that ends in the meantime also appears in a later kind.
  const found = await Promise.all(kinds.map((kind) => childrenOfKind(store, place, kind)));
  const places = new Map<string, ChildPlace>();
  for (const child of found.flat()) places.set(child.id, child);
  return [...places.values()];
}

async function childrenOfKind(store: Store, place: JobRef, kind: ChildKind): Promise<ChildPlace[]> {
  const children: ChildPlace[] = [];
  for await (const child of childrenOf(store, place, [kind])) children.push(child);
  return children;
}

/** Returns the number of children of a job by kind. */
export async function childCounts(access: JobAccess, { queue, id }: JobRef): Promise<ChildNumbers> {
  const [unprocessed = 0, processed = 0, ignored = 0] = await access.on(queue, (bull) =>
    bull.getBackend().getDependencyCounts(id, ['unprocessed', 'processed', 'ignored']),
  );
  return { unprocessed, processed, ignored };
}

/** Returns the numbers of children of jobs of a queue, with few commands if the store can. */
export async function childCountsOfAll(
  access: JobAccess,
  queue: string,
  jobs: readonly JobRef[],
): Promise<readonly ChildNumbers[]> {
  if (jobs.length === 0) return [];
  const counts = await access.on(queue, async (bull) =>
    childNumbersPrimitiveOf(bull.getBackend())?.childNumbers(jobs.map(({ id }) => id)),
  );
  return counts ?? Promise.all(jobs.map((job) => childCounts(access, job)));
}

/** Maximum number of ids of running jobs. */
const MAX_RUNNING = 1000;

/** Returns the ids of the running jobs of a queue. */
export async function runningIds(store: Store, queue: string): Promise<readonly string[]> {
  return store.on(queue, (bull) => bull.getRanges(['active'], 0, MAX_RUNNING - 1));
}

/** Returns the state that BullMQ knows of a job: `'unknown'` if the store does not hold it. */
export function storedStateOf(store: JobAccess, { queue, id }: JobRef): Promise<string> {
  return store.on(queue, (bull) => bull.getJobState(id));
}

/** Returns the ids at the positions `from` to `to - 1` of one of BullMQ's sets, the latest first. */
export function idsInSet(
  store: JobAccess,
  queue: string,
  set: string,
  from: number,
  to: number,
  isOldestFirst = false,
): Promise<string[]> {
  return store.on(queue, (bull) => bull.getRanges([set as 'completed'], from, to - 1, isOldestFirst)); // a name of one of BullMQ's sets
}

/** Returns the number of jobs in one of BullMQ's sets. */
export async function sizeOfSet(store: JobAccess, queue: string, set: EndedSet): Promise<number> {
  const [size = 0] = await store.on(queue, (bull) => bull.getBackend().getCounts([set]));
  return size;
}

/** Returns when a job ended, according to its record; undefined if the record is unreadable. */
export async function recordedEndOf(store: JobAccess, { queue, id }: JobRef): Promise<number | undefined> {
  const data = await store.on(queue, (bull) => bull.getBackend().getJobData(id).catch(ifBroken));
  return momentOf(data?.finishedOn);
}

/** Returns when a job ended by its position in a set, for unreadable records. */
export function endInSet(
  store: JobAccess,
  { queue, id }: JobRef,
  set: EndedSet,
): Promise<number | undefined> {
  return store.on(queue, async (bull) => endedTimesIn(bull.getBackend())?.endedAt(set, id));
}

/** Returns whether the store finds ended jobs by their ends. */
export function hasEndedOrder(store: JobAccess, queue: string): Promise<boolean> {
  return store.on(queue, async (bull) => endedOrderIn(bull.getBackend()) !== undefined);
}

/** Returns ended jobs behind an end, the latest first. None if the store does not find them by their ends. */
export function endedBehind(
  store: JobAccess,
  queue: string,
  set: EndedSet,
  last: { readonly at: number; readonly id: string } | undefined,
  limit: number,
): Promise<readonly { readonly at: number; readonly id: string }[]> {
  return store.on(
    queue,
    async (bull) => endedOrderIn(bull.getBackend())?.endedBehind(set, last, limit) ?? [],
  );
}

/** Returns the data of a job as the stored JSON text; undefined if the store does not hold it. */
export async function storedDataOf(store: JobAccess, { queue, id }: JobRef): Promise<string | undefined> {
  const job = await store.on(queue, (bull) => bull.getBackend().getJobData(id));
  return job?.data;
}

/** Returns the number of children of a job that have ended without failing it. */
export async function endedChildrenCount(store: JobAccess, { queue, id }: JobRef): Promise<number> {
  const kinds = await store.on(queue, (bull) =>
    bull.getBackend().getDependencyCounts(id, ['processed', 'ignored']),
  );
  return kinds.reduce((sum, kind) => sum + kind, 0);
}

/**
 * Returns the readable parts of a job, at least its id; with `problem` if its record is unreadable. Undefined if the store
 * does not hold the job.
 */
export async function knownJob(store: Store, place: JobRef): Promise<StoredJob | undefined> {
  return (await readJob(store, place)) ?? unreadableJob(store, place);
}

/** Returns the readable parts of a job, as `knownJob` does, with BullMQ's state: `'unknown'` if the store does not hold it. */
export async function knownStanding(
  store: Store,
  place: JobRef,
): Promise<{ readonly job: StoredJob | undefined; readonly state: string }> {
  const [read] = await readJobs(store, place.queue, [place.id], { withState: true });
  const job = read?.job ?? (await unreadableJob(store, place));
  if (job === undefined) return { job, state: 'unknown' };
  const known = read?.job === undefined ? undefined : read.state;
  return { job, state: known ?? (await storedStateOf(store, place)) };
}

/** Returns the readable parts of a job whose record was not found or could not be read, as `knownJob` does. */
export async function unreadableJob(store: Store, place: JobRef): Promise<StoredJob | undefined> {
  const { queue, id } = place;
  const partial = await readablePartOf(store, place);
  // A job that was removed in the meantime is in no set any more.
  const isHeld = (await store.on(queue, (bull) => bull.getJobState(id).catch(ifBroken))) !== 'unknown';
  return isHeld ? partial : undefined;
}
