/** What a store holds of its jobs, and where they stand. */
import { CorruptJobError, type FailureOrigin, isUmbelError } from '../base/errors.js';
import { type CodecContext, isSealed, SEALED } from '../codec/codecs.js';
import { sanitize } from '../codec/masking.js';
import type { FailedChild, JobRef } from '../job/job.js';
import type { Revoked } from '../job/revocation.js';
import type { StoreAccess } from './access.js';
import { type EndedSet, endedTimesIn } from './primitives/ended-jobs.js';
import type { Store } from './store.js';
import {
  momentOf,
  openProgress,
  type StoredJob,
  shownState,
  splitProgress,
  storedJobOf,
} from './stored-job.js';
import { type ChildKind, type ChildPlace, childrenOf, ifBroken, type JobAccess, remainsOf } from './tree.js';

/** The result that is stored as this text. @throws {CorruptJobError} if it is no JSON, or nothing to give on. */
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

/** @throws {CorruptJobError} if a result that was parsed is none to give on. */
export function checkResult(id: string, value: unknown): void {
  const fault = sanitize(value);
  if (fault !== undefined) throw new CorruptJobError(id, `its result is unusable: ${fault}`);
}

/** The job, or undefined if the store does not hold it. What cannot be read of it is left out. */
export async function readJob(
  access: StoreAccess,
  { queue, id }: JobRef,
  timeoutMs?: number,
): Promise<StoredJob | undefined> {
  const job = await access.on(queue, (bull) => bull.getJob(id).catch(ifBroken), timeoutMs);
  return job && storedJobOf(access.sealer, queue, job);
}

/** Where a job stands; while its handler shows a state of the task's own, that. */
export async function jobStateOf(access: StoreAccess, place: JobRef): Promise<string> {
  const state = await access.on(place.queue, (bull) => bull.getJobState(place.id));
  const isTold = state === 'active' || state === 'completed' || state === 'failed';
  return shownState(state, isTold ? await readJob(access, place) : undefined);
}

/** Whether the store holds the job, also if it cannot be read. */
export async function isHeld(access: StoreAccess, { queue, id }: JobRef): Promise<boolean> {
  return (await access.on(queue, (bull) => bull.getJobState(id))) !== 'unknown';
}

/** Why a job failed: as its worker recorded it, else what the store says. */
export async function failureOf(access: StoreAccess, place: JobRef, reason: string): Promise<FailureOrigin> {
  return failureIn(await readJob(access, place), place, reason);
}

/** The same, of a job that was read. */
export function failureIn(job: StoredJob | undefined, { id }: JobRef, reason: string): FailureOrigin {
  const { envelope, name = 'unknown' } = job ?? {};
  return envelope?.failure ?? { task: name, jobId: id, error: { name: 'Error', message: reason } };
}

/** What a job has reported. */
export interface Progress {
  readonly value: unknown;
  /** Tells one value from another; undefined if there is none, or none that can be read. */
  readonly json: string | undefined;
  /** The job's task, if it was read. */
  readonly task?: string;
}

/**
 * What a job has reported, from the JSON of an event or of the store, which anybody may have written.
 * @param task Of the job, by which codecs open what it reports. Without it, the job is read.
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

/** Lines that the job's handler has logged, oldest first. */
export async function logsOf(access: StoreAccess, place: JobRef): Promise<string[]> {
  const { logs } = await access.on(place.queue, (bull) => bull.getJobLogs(place.id));
  const job = logs.some(isSealedLine) ? await readJob(access, place) : undefined;
  const context = { subject: 'log', id: place.id, task: job?.name ?? '' } as const;
  return Promise.all(logs.map((line) => (isSealedLine(line) ? openedLine(access, line, context) : line)));
}

/** Results of the children of a job that completed, by job id, as stored. */
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

/** The children of a job that failed, and did not end it. */
export async function failedChildrenOf(access: StoreAccess, { queue, id }: JobRef): Promise<FailedChild[]> {
  const failures = await access.on(queue, (bull) => bull.getBackend().getIgnoredChildrenFailures(id));
  return Object.entries(failures).map(([key, reason]) => ({ ...access.placeOf(key), reason }));
}

/** The job that waits for another one, if there is any. */
export async function parentOf(access: StoreAccess, { queue, id }: JobRef): Promise<JobRef | undefined> {
  const job = await access.on(queue, (bull) => bull.getJob(id).catch(ifBroken));
  return job?.parentKey === undefined ? undefined : access.placeOf(job.parentKey);
}

/** The job above all others that wait for this one. */
export async function topOf(access: StoreAccess, place: JobRef): Promise<JobRef> {
  for (let top = place; ; ) {
    const parent = await parentOf(access, top);
    if (parent === undefined) return top;
    top = parent;
  }
}

/** What of a run was revoked: all of it, or what bears one of the tags. Undefined if the store does not hold it. */
export async function revokedOf(access: StoreAccess, run: JobRef): Promise<Revoked | undefined> {
  const job = await readJob(access, run);
  if (job === undefined) return undefined;
  const { revoked, skipped, revokedTags = [] } = job.envelope ?? {};
  const all = revoked !== undefined;
  return { all, ...(all && skipped && { skipped }), tags: revokedTags };
}

/** The line, or what is stored where no codec here can decode it. */
async function openedLine({ sealer }: StoreAccess, line: string, context: CodecContext): Promise<string> {
  try {
    return String(await sealer.open(JSON.parse(line), context));
  } catch (error) {
    if (error instanceof SyntaxError || isUmbelError(error, 'CORRUPT_JOB')) return line;
    throw error;
  }
}

/** Whether a line of a log was encoded by codecs; the lines of other programs may be JSON of their own. */
function isSealedLine(line: string): boolean {
  return line.startsWith(`{"${SEALED}":"`);
}

// Where jobs of a run stand, read without their results.

export interface Standing {
  readonly state: string;
  /** Absent if it cannot be read. */
  readonly job: StoredJob | undefined;
}

/** A job with its state; undefined if the store does not hold it. */
export async function standingOf(store: Store, { queue, id }: JobRef): Promise<Standing | undefined> {
  // In one round trip, and in this order: what the state is told by is there when the job is read.
  const [state, job] = await Promise.all([
    store.on(queue, (bull) => bull.getJobState(id)),
    readJob(store, { queue, id }),
  ]);
  return state === 'unknown' ? undefined : { state: shownState(state, job), job };
}

/** The jobs that a job waits for, or has waited for, each once. */
export async function childPlaces(
  store: Store,
  place: JobRef,
  kinds: readonly ChildKind[] = ['unprocessed', 'processed', 'ignored'],
): Promise<ChildPlace[]> {
  // The first pages in one round trip, and in this order: one that ends meanwhile is among the later ones too.
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

/** How many children of each kind a job has. */
export async function childCounts(
  access: JobAccess,
  { queue, id }: JobRef,
): Promise<Readonly<Record<ChildKind, number>>> {
  const [unprocessed = 0, processed = 0, ignored = 0] = await access.on(queue, (bull) =>
    bull.getBackend().getDependencyCounts(id, ['unprocessed', 'processed', 'ignored']),
  );
  return { unprocessed, processed, ignored };
}

/** Ids of running jobs that are read at most. */
const MAX_RUNNING = 1000;

/** The ids of the jobs of a queue that run now. */
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
): Promise<string[]> {
  return store.on(queue, (bull) => bull.getRanges([set as 'completed'], from, to - 1, false)); // one of BullMQ's own
}

/** Returns the number of jobs in one of BullMQ's sets. */
export async function sizeOfSet(store: JobAccess, queue: string, set: EndedSet): Promise<number> {
  const [size = 0] = await store.on(queue, (bull) => bull.getBackend().getCounts([set]));
  return size;
}

/** Returns when a job ended, as its record says; undefined if the record cannot be read. */
export async function recordedEndOf(store: JobAccess, { queue, id }: JobRef): Promise<number | undefined> {
  const data = await store.on(queue, (bull) => bull.getBackend().getJobData(id).catch(ifBroken));
  return momentOf(data?.finishedOn);
}

/** Returns when a job ended by its position in a set, for records that cannot be read. */
export function endInSet(
  store: JobAccess,
  { queue, id }: JobRef,
  set: EndedSet,
): Promise<number | undefined> {
  return store.on(queue, async (bull) => endedTimesIn(bull.getBackend())?.endedAt(set, id));
}

/** Returns the data of a job as the stored JSON text; undefined if the store does not hold it. */
export async function storedDataOf(store: JobAccess, { queue, id }: JobRef): Promise<string | undefined> {
  const job = await store.on(queue, (bull) => bull.getBackend().getJobData(id));
  return job?.data;
}

/** Returns how many children of a job have ended without failing it. */
export async function endedChildrenCount(store: JobAccess, { queue, id }: JobRef): Promise<number> {
  const kinds = await store.on(queue, (bull) =>
    bull.getBackend().getDependencyCounts(id, ['processed', 'ignored']),
  );
  return kinds.reduce((sum, kind) => sum + kind, 0);
}

/**
 * What is known of a job that the store holds, at least by its id: with `problem`, if its record cannot be read. Undefined
 * if the store does not hold it.
 */
export async function knownJob(store: Store, place: JobRef): Promise<StoredJob | undefined> {
  const { queue, id } = place;
  const job = await readJob(store, { queue, id });
  if (job !== undefined) return job;
  const remains = await remainsOf(store, place);
  // Those that were removed while they were looked for stand in no set any more.
  const isHeld = (await store.on(queue, (bull) => bull.getJobState(id).catch(ifBroken))) !== 'unknown';
  return isHeld ? remains : undefined;
}
