import type { Job } from 'bullmq';
import { type FailureOrigin, isUmbelError } from '../errors.js';
import { type Envelope, isEnvelope, readEnvelope } from '../wire/envelope.js';
import { readErrorRecord } from '../wire/error-record.js';
import { isPlainObject } from '../wire/plain-object.js';
import { OWN_STATE } from '../wire/progress.js';
import { isSealed, type Sealer } from '../wire/sealing.js';
import { sanitize } from '../wire/stored-value.js';

/** A stored job as it is, with what was sealed opened. */
export interface StoredJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly envelope: Envelope | undefined;
  /** Attempts that have ended. */
  readonly attempts: number;
  /** 0 if it cannot be read. */
  readonly enqueuedAt: number;
  readonly startedAt: number | undefined;
  readonly finishedAt: number | undefined;
  readonly progress: unknown;
  /** The task's own state that its handler shows. */
  readonly ownState: string | undefined;
  readonly failedReason: string | undefined;
  /** The worker that took it last, by its name. */
  readonly worker?: string;
  /** Stacks of the attempts that have failed, the latest last; as many as the store keeps. */
  readonly stacks?: readonly string[];
  /** Why its record cannot be read; absent if it can. */
  readonly problem?: string;
}

/** What a task is called whose name cannot be read. */
export const UNKNOWN_TASK = 'unknown';
const NAMELESS = 'it has no name';

/** What a `Date` can be, in milliseconds since 1970. */
const MAX_TIME = 8.64e15;

/** A time that was read from the store, if it is one. */
export function momentOf(ms: number | undefined): number | undefined {
  return ms !== undefined && Math.abs(ms) <= MAX_TIME ? ms : undefined;
}

/** What the store holds of a job. What cannot be read of it is left out. */
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
    failedReason: job.failedReason,
    ...(typeof job.processedBy === 'string' && { worker: job.processedBy }),
    ...(Array.isArray(job.stacktrace) && { stacks: job.stacktrace.map(String) }),
    ...(!name && { problem: NAMELESS }),
    ...(await openedProgress(sealer, id, name, job)),
  };
}

/** Whether a job that has completed did so without running. One that is marked while it runs may still complete. */
export function wasSkipped(envelope: Envelope | undefined): boolean {
  return envelope?.skipped === true && envelope.revoked === undefined;
}

/** BullMQ's state of a job as this package tells it; `job` has to be given for those that run or have ended. */
export function shownState(state: string, job: StoredJob | undefined): string {
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
  const envelope = readEnvelope(data);
  const failure = await openedFailure(sealer, data.failure);
  if (!isSealed(envelope.input)) return { ...envelope, ...(failure !== undefined && { failure }) };
  const context = { subject: 'input', id, task } as const;
  const input = await sealer.open(envelope.input, context).catch(ifCorrupt);
  return { ...envelope, input, ...(failure !== undefined && { failure }) };
}

/** The recorded failure, or undefined if there is none or it is not in the form of one. */
async function openedFailure(sealer: Sealer, stored: unknown): Promise<FailureOrigin | undefined> {
  if (!isPlainObject(stored)) return undefined;
  const { task, jobId, attempts, state, index, error } = stored;
  if (typeof task !== 'string' || typeof jobId !== 'string') return undefined;
  const context = { subject: 'failure', id: jobId, task: '' } as const;
  const record = readErrorRecord(await sealer.open(error, context).catch(ifCorrupt));
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
  // It lasts as long as the attempt that shows it.
  return { progress, ownState: attempt === attemptsMade + 1 ? state : undefined };
}

/** The value that a job has reported; undefined if no codec here can decode it. */
export async function openProgress(
  sealer: Sealer,
  id: string,
  task: string,
  stored: unknown,
): Promise<unknown> {
  const opened = await sealer.open(stored, { subject: 'progress', id, task }).catch(ifCorrupt);
  return sanitize(opened) === undefined ? opened : undefined;
}

/** What a job has reported, and the task's own state with the attempt that shows it, as both are stored together. */
export function splitProgress(stored: unknown): {
  readonly value: unknown;
  readonly state?: string;
  readonly attempt?: unknown;
} {
  const state = isPlainObject(stored) ? stored[OWN_STATE] : undefined;
  if (!isPlainObject(stored) || typeof state !== 'string')
    return { value: stored === 0 ? undefined : stored }; // BullMQ's 0 is for none
  return { value: stored.progress, state, attempt: stored.attempt };
}

/** What no codec here can decode is left out. */
function ifCorrupt(error: unknown): undefined {
  if (isUmbelError(error, 'CORRUPT_JOB')) return undefined;
  throw error;
}
