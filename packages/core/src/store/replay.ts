/** This module queues one failed job again, with its input or an edited one. `app.deadLetters` uses it. */
import { randomUUID } from 'node:crypto';
import { ErrorCode } from 'bullmq';
import { CorruptJobError, JobStateError, UnknownJobError } from '../base/errors.js';
import { sanitize } from '../codec/masking.js';
import { type Envelope, isEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import type { StoreAccess } from './access.js';
import { primitivesOf } from './primitives/jobs.js';
import { unmarked } from './resume.js';
import { detach, markTrees } from './revoke.js';
import { type ChildPlace, childrenOf } from './tree.js';
import { removeTree } from './tree-removal.js';

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
