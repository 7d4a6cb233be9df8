/** What a store holds of its jobs, and where they stand. */
import { type FailureOrigin, isUmbelError } from '../errors.js';
import type { Revoked } from '../flow/revocation.js';
import type { FailedChild } from '../running/job.js';
import { type CodecContext, isSealed, SEALED } from '../wire/sealing.js';
import { sanitize } from '../wire/stored-value.js';
import { parsedResult } from './parsed-result.js';
import type { StoreAccess } from './store-access.js';
import { openProgress, type StoredJob, shownState, splitProgress, storedJobOf } from './stored-job.js';
import { ifBroken, type JobPlace } from './tree.js';

/** The job, or undefined if the store does not hold it. What cannot be read of it is left out. */
export async function readJob(
  access: StoreAccess,
  { queue, id }: JobPlace,
  timeoutMs?: number,
): Promise<StoredJob | undefined> {
  const job = await access.on(queue, (bull) => bull.getJob(id).catch(ifBroken), timeoutMs);
  return job && storedJobOf(access.sealer, queue, job);
}

/** Where a job stands; while its handler shows a state of the task's own, that. */
export async function stateOf(access: StoreAccess, place: JobPlace): Promise<string> {
  const state = await access.on(place.queue, (bull) => bull.getJobState(place.id));
  const isTold = state === 'active' || state === 'completed' || state === 'failed';
  return shownState(state, isTold ? await readJob(access, place) : undefined);
}

/** Whether the store holds the job, also if it cannot be read. */
export async function isHeld(access: StoreAccess, { queue, id }: JobPlace): Promise<boolean> {
  return (await access.on(queue, (bull) => bull.getJobState(id))) !== 'unknown';
}

/** Why a job failed: as its worker recorded it, else what the store says. */
export async function failureOf(
  access: StoreAccess,
  place: JobPlace,
  reason: string,
): Promise<FailureOrigin> {
  return failureIn(await readJob(access, place), place, reason);
}

/** The same, of a job that was read. */
export function failureIn(job: StoredJob | undefined, { id }: JobPlace, reason: string): FailureOrigin {
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
  place: JobPlace,
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
  place: JobPlace,
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
export async function logsOf(access: StoreAccess, place: JobPlace): Promise<string[]> {
  const { logs } = await access.on(place.queue, (bull) => bull.getJobLogs(place.id));
  const job = logs.some(isSealedLine) ? await readJob(access, place) : undefined;
  const context = { subject: 'log', id: place.id, task: job?.name ?? '' } as const;
  return Promise.all(logs.map((line) => (isSealedLine(line) ? openedLine(access, line, context) : line)));
}

/** Results of the children of a job that completed, by job id, as stored. */
export async function childResultsOf(
  access: StoreAccess,
  { queue, id }: JobPlace,
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
export async function failedChildrenOf(access: StoreAccess, { queue, id }: JobPlace): Promise<FailedChild[]> {
  const failures = await access.on(queue, (bull) => bull.getBackend().getIgnoredChildrenFailures(id));
  return Object.entries(failures).map(([key, reason]) => ({ ...access.placeOf(key), reason }));
}

/** The job that waits for another one, if there is any. */
export async function parentOf(access: StoreAccess, { queue, id }: JobPlace): Promise<JobPlace | undefined> {
  const job = await access.on(queue, (bull) => bull.getJob(id).catch(ifBroken));
  return job?.parentKey === undefined ? undefined : access.placeOf(job.parentKey);
}

/** The job above all others that wait for this one. */
export async function topOf(access: StoreAccess, place: JobPlace): Promise<JobPlace> {
  for (let top = place; ; ) {
    const parent = await parentOf(access, top);
    if (parent === undefined) return top;
    top = parent;
  }
}

/** What of a run was revoked: all of it, or what bears one of the tags. Undefined if the store does not hold it. */
export async function revokedOf(access: StoreAccess, run: JobPlace): Promise<Revoked | undefined> {
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
