import { Job, type JobJson, type JobsOptions } from 'bullmq';
import { type FailureOrigin, isUmbelError } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import { isSealed, type Sealer } from '../codec/codecs.js';
import { readErrorRecord } from '../codec/error-record.js';
import { sanitize } from '../codec/masking.js';
import { type Envelope, isEnvelope, readEnvelope } from '../job/envelope.js';
import { OWN_STATE } from '../job/states.js';
import { retryOf } from './job-options.js';
import type { StoredFields } from './primitives/run-trees.js';
import type { EnvelopeQueue } from './queue-pool.js';

/** A stored job with decoded values. */
export interface StoredJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly envelope: Envelope | undefined;
  /** Number of attempts that have ended. */
  readonly attempts: number;
  /** 0 if it is unreadable. */
  readonly enqueuedAt: number;
  readonly startedAt: number | undefined;
  readonly finishedAt: number | undefined;
  /**
   * From when on it may start, as far as its record says: for a retry from the start of its last attempt and its longest
   * delay; for a step as if earlier steps took no time. Undefined if it is unreadable.
   */
  readonly dueAt: number | undefined;
  readonly progress: unknown;
  /** Custom state that the running handler has set. */
  readonly ownState: string | undefined;
  readonly failedReason: string | undefined;
  /** Name of the worker that claimed it last. */
  readonly worker?: string;
  /** Stacks of failed attempts, the latest last; the store keeps a limited number. */
  readonly stacks?: readonly string[];
  /** Why its record is unreadable; absent if it is readable. */
  readonly problem?: string;
}

/** What views of a run use of a job. Its input is not decoded. */
export type RunJob = Pick<
  StoredJob,
  'name' | 'envelope' | 'attempts' | 'startedAt' | 'finishedAt' | 'failedReason'
>;

/** Name of a task whose name is unreadable. */
export const UNKNOWN_TASK = 'unknown';
const NAMELESS = 'it has no name';

/** Maximum time of a `Date`, in milliseconds since 1970. */
const MAX_TIME = 8.64e15;

/** Returns a time from the store if it is valid, else undefined. */
export function momentOf(ms: number | undefined): number | undefined {
  return ms !== undefined && Math.abs(ms) <= MAX_TIME ? ms : undefined;
}

/** Returns the stored job in decoded form, without unreadable values. */
export async function storedJobOf(sealer: Sealer, queue: string, job: Job<Envelope>): Promise<StoredJob> {
  const id = job.id ?? '';
  const { name, data } = job;
  const envelope = isEnvelope(data) ? await openedEnvelope(sealer, id, name, data) : undefined;
  return {
    id,
    name: name || UNKNOWN_TASK,
    queue,
    envelope,
    attempts: job.attemptsMade || 0,
    enqueuedAt: momentOf(job.timestamp) ?? 0,
    startedAt: momentOf(job.processedOn),
    finishedAt: momentOf(job.finishedOn),
    dueAt: dueAtOf(job),
    failedReason: job.failedReason,
    ...(typeof job.processedBy === 'string' && { worker: job.processedBy }),
    ...(Array.isArray(job.stacktrace) && { stacks: job.stacktrace.map(String) }),
    ...(!name && { problem: NAMELESS }),
    ...(await openedProgress(sealer, id, name, job)),
  };
}

/** Returns the job of a record; undefined if the record is broken. */
export async function jobOfRecord(
  sealer: Sealer,
  queue: EnvelopeQueue,
  id: string,
  json: JobJson,
): Promise<StoredJob | undefined> {
  let job: Job<Envelope>;
  try {
    job = Job.fromJSON(queue, json, id);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return storedJobOf(sealer, queue.name, job);
}

/** Returns the job of the fields of a record; undefined if its data are not valid JSON. */
export async function runJobOf(sealer: Sealer, fields: StoredFields): Promise<RunJob | undefined> {
  let data: unknown;
  try {
    data = JSON.parse(fields.data || '{}');
  } catch {
    return undefined;
  }
  const time = (text: string | undefined) => momentOf(text ? Number.parseInt(text, 10) : undefined);
  return {
    name: fields.name || UNKNOWN_TASK,
    envelope: isEnvelope(data) ? await sealedEnvelope(sealer, data as Envelope) : undefined,
    attempts: Number.parseInt(fields.attemptsMade ?? '', 10) || 0,
    startedAt: time(fields.processedOn),
    finishedAt: time(fields.finishedOn),
    failedReason: fields.failedReason || undefined,
  };
}

function dueAtOf({
  timestamp,
  delay = 0,
  opts = {},
  processedOn,
  attemptsMade,
}: Job<Envelope>): number | undefined {
  if (processedOn === undefined) return momentOf(timestamp + (delay || (opts.delay ?? 0)));
  const longest = attemptsMade > 0 && delay === 0 ? longestDelayOf(opts, attemptsMade) : delay;
  return momentOf(processedOn + longest);
}

/** Returns the longest delay of a retry after so many attempts. */
function longestDelayOf(opts: JobsOptions, attempts: number): number {
  const { backoff = 'fixed', delayMs = 0, maxMs = 0 } = retryOf(opts) ?? {};
  return backoff === 'fixed' ? delayMs : Math.min(delayMs * 2 ** (attempts - 1), maxMs);
}

/** Returns whether a completed job was skipped. A job that is revoked while it runs may still complete normally. */
export function wasSkipped(envelope: Envelope | undefined): boolean {
  return envelope?.skipped === true && envelope.revoked === undefined;
}

/** Returns Umbel's state for BullMQ's state of a job. Pass `job` for active and ended jobs. */
export function shownState(
  state: string,
  job: Partial<Pick<StoredJob, 'envelope' | 'ownState'>> | undefined,
): string {
  switch (state) {
    case 'active':
      return job?.ownState ?? 'active';
    case 'prioritized':
      return 'waiting';
    case 'completed':
      return wasSkipped(job?.envelope) ? 'skipped' : 'completed';
    case 'failed':
      return job?.envelope?.failure?.state ?? 'failed';
    default:
      return state;
  }
}

async function openedEnvelope(sealer: Sealer, id: string, task: string, data: Envelope): Promise<Envelope> {
  const envelope = await sealedEnvelope(sealer, data);
  if (!isSealed(envelope.input)) return envelope;
  const context = { subject: 'input', id, task } as const;
  const input = await sealer.decode(envelope.input, context).catch(ifCorrupt);
  return { ...envelope, input };
}

/** Returns the envelope with its failure decoded, but not its input. */
async function sealedEnvelope(sealer: Sealer, data: Envelope): Promise<Envelope> {
  const envelope = readEnvelope(data);
  if (data.failure === undefined) return envelope;
  const failure = await openedFailure(sealer, data.failure);
  return { ...envelope, ...(failure !== undefined && { failure }) };
}

/** Returns the recorded failure; undefined if there is none or it is malformed. */
async function openedFailure(sealer: Sealer, stored: unknown): Promise<FailureOrigin | undefined> {
  if (!isPlainObject(stored)) return undefined;
  const { task, jobId, attempts, state, index, error } = stored;
  if (typeof task !== 'string' || typeof jobId !== 'string') return undefined;
  const context = { subject: 'failure', id: jobId, task: '' } as const;
  const record = readErrorRecord(await sealer.decode(error, context).catch(ifCorrupt));
  if (record === undefined) return undefined;
  return {
    task,
    jobId,
    ...(typeof attempts === 'number' && { attempts }),
    ...(typeof index === 'number' && { index }),
    ...((state === 'expired' || state === 'revoked' || state === 'skipped') && { state }),
    error: record,
  };
}

async function openedProgress(
  sealer: Sealer,
  id: string,
  task: string,
  { progress: stored, attemptsMade }: { progress: unknown; attemptsMade: number },
): Promise<Pick<StoredJob, 'progress' | 'ownState'>> {
  const { value, state, attempt } = splitProgress(stored);
  const progress = await openProgress(sealer, id, task, value);
  // A custom state is valid only during its attempt.
  return { progress, ownState: attempt === attemptsMade + 1 ? state : undefined };
}

/** Returns the reported progress; undefined if no codec here can decode it. */
export async function openProgress(
  sealer: Sealer,
  id: string,
  task: string,
  stored: unknown,
): Promise<unknown> {
  const opened = await sealer.decode(stored, { subject: 'progress', id, task }).catch(ifCorrupt);
  return sanitize(opened) === undefined ? opened : undefined;
}

/** Splits stored progress into the reported value and the custom state with its attempt. */
export function splitProgress(stored: unknown): {
  readonly value: unknown;
  readonly state?: string;
  readonly attempt?: unknown;
} {
  const state = isPlainObject(stored) ? stored[OWN_STATE] : undefined;
  if (!isPlainObject(stored) || typeof state !== 'string')
    return { value: stored === 0 ? undefined : stored }; // BullMQ stores 0 for no progress
  return { value: stored.progress, state, attempt: stored.attempt };
}

/** Returns undefined for values that no codec here can decode; throws other errors. */
function ifCorrupt(error: unknown): undefined {
  if (isUmbelError(error, 'CORRUPT_JOB')) return undefined;
  throw error;
}
