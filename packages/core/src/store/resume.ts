/** This module queues failed jobs again: those of a run for `result.resume()`, or one job for `app.deadLetters`. */

import { randomUUID } from 'node:crypto';
import type { Job } from 'bullmq';
import { ErrorCode } from 'bullmq';
import { CorruptJobError, JobStateError, UnknownJobError } from '../base/errors.js';
import { sanitize } from '../codec/masking.js';
import { type Envelope, isEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_JOB, jobIdOf, nodesOf, withNodes } from '../job/job-tree.js';
import { isExpansion, isNode } from '../job/tree-checks.js';
import { PROBE } from '../workflow/join.js';
import { withoutExpiry } from '../workflow/prepare.js';
import type { StoreAccess } from './access.js';
import { mergeData } from './job-options.js';
import { markTrees } from './marking.js';
import { primitivesOf } from './primitives/jobs.js';
import type { EnvelopeQueue } from './queue-pool.js';
import { detach } from './revoke.js';
import { reopenWait } from './signals.js';
import { type ChildKind, type ChildPlace, childrenOf, ifBroken, type JobAccess } from './tree.js';
import { removeTree } from './tree-removal.js';

/** Stored form of new inputs for steps that run again, by job id. */
export type NewInputs = ReadonlyMap<string, unknown>;

/**
 * Queues a failed job again, with all its attempts, after the failed jobs below it; completed jobs keep their results.
 * Removes marks of revocations and expiries, also from unended jobs. Returns the number of jobs that run again.
 *
 * Queuing a job again makes it a pending child of its parent in the same command. So a parent that is queued after its
 * children waits for them. The function is idempotent, also after an interruption.
 */
export function resumeTree(access: JobAccess, place: JobRef, inputs: NewInputs = new Map()): Promise<number> {
  return visitFailed(access, place, {
    unmark: (each) => unmark(access, each),
    requeue: (each, job) => requeue(access, each, job, inputs),
  });
}

/** A failed job that would be queued again. */
export interface Resumable extends JobRef {
  readonly task: string;
  readonly data: Envelope;
}

/** Returns the jobs with these ids that `resumeTree` would queue again. Changes nothing. */
export async function resumableIn(
  access: JobAccess,
  place: JobRef,
  ids: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Resumable>> {
  const found = new Map<string, Resumable>();
  await visitFailed(access, place, {
    async unmark() {},
    async requeue(at, { name, data }) {
      if (ids.has(at.id)) found.set(at.id, { ...at, task: name, data });
    },
  });
  return found;
}

/** Returns the job with this id among a job and all jobs below it, in any state. */
export async function findBelow(access: JobAccess, place: JobRef, id: string): Promise<JobRef | undefined> {
  if (place.id === id) return place;
  const below: JobRef[] = [];
  for await (const child of childrenOf(access, place)) {
    if (child.id === id) return child;
    below.push(child);
  }
  for (const child of below) {
    const found = await findBelow(access, child, id);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface FailedVisitor {
  /** Called for a job that has not failed: its marks are removed. */
  unmark(place: JobRef): Promise<void>;
  /** Called for a failed job, after the failed jobs below it. */
  requeue(place: JobRef, job: Job<Envelope>): Promise<void>;
}

async function visitFailed(access: JobAccess, place: JobRef, visitor: FailedVisitor): Promise<number> {
  const job = await access.on(place.queue, (bull) => bull.getJob(place.id).catch(ifBroken));
  if (job === undefined || !isEnvelope(job.data)) return 0;
  const isFailed = await access.on(place.queue, () => job.isFailed());
  const kinds: ChildKind[] = isFailed ? ['ignored', 'unprocessed'] : ['unprocessed'];
  const below: JobRef[] = [];
  for await (const child of childrenOf(access, place, kinds))
    below.push({ queue: child.queue, id: child.id });
  let count = 0;
  for (const child of isFailed ? lastTried(job, below) : below)
    count += await visitFailed(access, child, visitor);
  if (!isFailed || job.failedReason === PROBE.won) {
    await visitor.unmark(place);
    return count;
  }
  await visitor.requeue(place, job);
  return count + 1;
}

/** Queues one failed job again, with all its attempts and without marks that would keep it from starting. */
async function requeue(
  access: JobAccess,
  { queue, id }: JobRef,
  job: Job<Envelope>,
  inputs: NewInputs,
): Promise<void> {
  if (inputs.has(id)) await access.on(queue, (bull) => replaceInput(bull, id, inputs.get(id)));
  await unmark(access, { queue, id });
  await access.on(queue, () => job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }));
}

/** Replaces the input of a job. A job whose input comes from earlier steps still waits for them. */
async function replaceInput(queue: EnvelopeQueue, id: string, input: unknown): Promise<void> {
  await mergeData(queue.getBackend(), id, ({ into: _place, after, ...data }) => ({
    ...data,
    input,
    ...(after !== undefined && { after: { ...after, ignored: true } }),
  }));
}

/** Returns the step of a fallback that was tried last; for other jobs, all children. */
function lastTried({ name, data }: Job<Envelope>, children: readonly JobRef[]): readonly JobRef[] {
  const { run, expand } = data;
  if (name !== INTERNAL_JOB.fallback || run === undefined || expand === undefined || !('members' in expand))
    return children;
  const [other] = expand.members;
  const last = children.find(({ id }) => other !== undefined && id === jobIdOf(run, other.path));
  return last === undefined ? children : [last];
}

/** Removes marks that keep a job from starting. The job of a wait for a signal waits again. */
async function unmark(access: JobAccess, { queue, id }: JobRef): Promise<void> {
  let before: Envelope | undefined;
  const change = (data: Envelope) => {
    before = data;
    const { failure, revoked, skipped, expires, revokedTags, lost, replaced, expand } = data;
    const isMarked = [failure, revoked, skipped, expires, revokedTags, lost, replaced, expand].some(
      (mark) => mark !== undefined,
    );
    return isMarked ? unmarked(data) : undefined;
  };
  await access.on(queue, (bull) => mergeData(bull.getBackend(), id, change));
  if (before !== undefined && hasEndedWait(before)) await reopenWait(access, id, before);
}

/** Whether the wait of a job for a signal has ended without a signal: the job has failed, or is marked. */
function hasEndedWait({ waiting, failure, revoked }: Envelope): boolean {
  return waiting !== undefined && (failure !== undefined || revoked !== undefined);
}

/** Returns the data of a job without the marks of earlier attempts. */
function unmarked({
  failure,
  revoked,
  skipped,
  expires,
  revokedTags,
  lost,
  replaced, // the replacement is added again if it is missing
  shared,
  expand,
  replacement,
  waiting,
  ...data
}: Envelope): Envelope {
  // Malformed data stay unchanged: the job's worker fails them with the reason.
  const added = isExpansion(expand) ? expand : undefined;
  const { expires: _expired, ...options } = shared ?? {};
  return {
    ...data,
    ...(expand !== undefined && {
      expand: added === undefined ? expand : withNodes(added, nodesOf(added).map(withoutExpiry)),
    }),
    ...(replacement !== undefined && {
      replacement: isNode(replacement) ? withoutExpiry(replacement) : replacement,
    }),
    ...(Object.keys(options).length > 0 && { shared: options }),
    // A wait that has an outcome begins again.
    ...(waiting !== undefined && failure === undefined && revoked === undefined && { waiting }),
    // The store keeps its count of stalls: without a record, an earlier stall would count as a new one.
    ...(lost !== undefined && { lost: { at: [] } }),
  };
}

// Replay: one failed job is queued again, with its input or an edited one.

export interface JobReplay {
  readonly now: number;
  /**
   * Returns the input to run the job with, from the input that it failed with. Then its handler runs even if an earlier
   * attempt replaced the job: the replacement is removed.
   */
  readonly edit?: ((input: unknown) => Promise<unknown>) | undefined;
  /** Whether to check everything and change nothing. */
  readonly isDry?: boolean;
}

const RESET = { resetAttemptsMade: true, resetAttemptsStarted: true };

/**
 * Queues a failed job again, with all its attempts. Of several concurrent calls one succeeds, with its input: data are
 * replaced only while the job is failed and unchanged, and the token in the queued job shows which call succeeded.
 * @throws {UnknownJobError} if the store does not hold the job.
 * @throws {JobStateError} if it is no longer failed, is changed concurrently, or cannot be edited.
 * @throws {CorruptJobError} if its record, or the input to edit, is unreadable.
 */
export async function replayJob(
  access: StoreAccess,
  place: JobRef,
  { now, edit, isDry }: JobReplay,
): Promise<void> {
  const { id } = place;
  const { name, text } = await recordOf(access, place);
  const data = parsed(id, text);
  if (!isEnvelope(data)) {
    if (edit !== undefined)
      throw new JobStateError(
        `Job ${id} was added by another program, so its input is unknown: replay it without edits.`,
      );
    if (isDry || (await queued(access, place))) return;
    throw conflict(id);
  }
  const token = randomUUID();
  const next: Envelope = {
    ...(edit === undefined ? unmarked(data as Envelope) : forNewRun(unmarked(data as Envelope))),
    replayed: { at: now, token },
  };
  const input = edit && (await edited(access, { id, name, data: data as Envelope }, edit));
  if (isDry) return;
  const nextText = JSON.stringify(edit === undefined ? next : { ...next, input });
  if (!(await replaced(access, place, text, nextText))) throw conflict(id);
  // W15: an existing job below would neither run again nor be waited for.
  if (next.epoch !== undefined && next.replacement === undefined) await removeChildren(access, place, now);
  await queued(access, place); // another call may have queued it, with these data
  if (!(await recordOf(access, place)).text.includes(token)) throw conflict(id);
}

/** Returns the data of a job whose handler runs again: without a replacement, and with new ids for a later one. */
function forNewRun({ replacement, epoch = 0, ...data }: Envelope): Envelope {
  const next = replacement === undefined ? epoch : epoch + 1;
  return next === 0 ? data : { ...data, epoch: next };
}

/** Removes the replacement of a failed job. Running jobs of it continue, and their results are ignored. */
async function removeChildren(access: StoreAccess, place: JobRef, now: number): Promise<void> {
  const below: ChildPlace[] = [];
  for await (const child of childrenOf(access, place)) below.push(child);
  for (const child of below) {
    for await (const _ of markTrees(access, [child], { now, skipped: true }));
    if (child.kind === 'unprocessed') await detach(access, place, child);
    await removeTree(access, child);
  }
}

interface Edited {
  readonly id: string;
  readonly name: string;
  readonly data: Envelope;
}

/** Returns the edited input in stored form. */
async function edited(
  { sealer }: StoreAccess,
  { id, name, data }: Edited,
  edit: (input: unknown) => Promise<unknown>,
): Promise<unknown> {
  const { after, items } = data;
  if (items !== undefined || (after !== undefined && !after.ignored))
    throw new JobStateError(`Job ${id} does not store its whole input, so the input cannot be edited.`);
  const context = { subject: 'input', id, task: name } as const;
  const input = await sealer.decode(data.input, context);
  const fault = sanitize(input);
  if (fault !== undefined) throw new CorruptJobError(id, `its input is unusable: ${fault}`);
  return sealer.encode(await edit(input), context);
}

/** Returns the stored name and data of a job. */
async function recordOf(
  access: StoreAccess,
  { queue, id }: JobRef,
): Promise<{ readonly name: string; readonly text: string }> {
  const json = await access
    .on(queue, (bull) => bull.getBackend().getJobData(id))
    .catch((cause: unknown) => {
      throw cause instanceof SyntaxError ? unreadable(id, cause) : cause;
    });
  if (json === undefined) throw new UnknownJobError(id, queue);
  return { name: json.name, text: json.data };
}

function parsed(id: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw unreadable(id, cause);
  }
}

/** Replaces the data of a job if it is failed and unchanged. Returns whether it has the new data. */
async function replaced(
  access: StoreAccess,
  { queue, id }: JobRef,
  current: string,
  next: string,
): Promise<boolean> {
  return access.on(queue, async (bull) => {
    const backend = bull.getBackend();
    const primitives = primitivesOf(backend);
    if (primitives !== undefined) {
      if (await primitives.replaceData(id, current, next, 'failed')) return true;
      return (await backend.getJobData(id))?.data === next; // the answer to an earlier attempt may have been lost
    }
    if ((await bull.getJobState(id)) !== 'failed') return false;
    await (await bull.getJob(id))?.updateData(JSON.parse(next) as Envelope);
    return true;
  });
}

/** Queues a failed job again. Returns false if it is not failed. */
async function queued(access: StoreAccess, { queue, id }: JobRef): Promise<boolean> {
  return access.on(queue, async (bull) => {
    const job = await bull.getJob(id);
    if (job === undefined) return false;
    try {
      await job.retry('failed', RESET);
      return true;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === ErrorCode.JobNotInState || code === ErrorCode.JobNotExist) return false;
      throw error;
    }
  });
}

function conflict(id: string): JobStateError {
  return new JobStateError(
    `Job ${id} is no longer failed, or another change is in progress: check it and try again.`,
  );
}

function unreadable(id: string, cause: unknown): CorruptJobError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CorruptJobError(id, `its stored record is not valid JSON: ${reason}`, { cause });
}
