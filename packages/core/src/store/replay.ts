/** Queuing one failed job again, with its input or another one. */
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
   * The input to run it with, from the one that it failed with. Then its handler runs, also if it has put something in its
   * job's place: that is dropped.
   */
  readonly edit?: ((input: unknown) => Promise<unknown>) | undefined;
  /** Everything is checked, and nothing changed. */
  readonly isDry?: boolean;
}

const RESET = { resetAttemptsMade: true, resetAttemptsStarted: true };

/**
 * Queues a failed job again, with all its attempts. Of several at once one does, with its input: data are replaced only
 * while the job is failed and as it was read, and the one whose token the queued job bears has queued it.
 * @throws {UnknownJobError} if the store does not hold it.
 * @throws {JobStateError} if it is not failed any more, is changed at the same moment, or cannot be edited.
 * @throws {CorruptJobError} if its record, or an input to be edited, cannot be read.
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
    ...(edit === undefined ? unmarked(data as Envelope) : asNew(unmarked(data as Envelope))),
    replayed: { at: now, token },
  };
  const input = edit && (await edited(access, { id, name, data: data as Envelope }, edit));
  if (isDry) return;
  const nextText = JSON.stringify(edit === undefined ? next : { ...next, input });
  if (!(await replaced(access, place, text, nextText))) throw conflict(id);
  // W15: a job that was there before is neither run again nor waited for.
  if (next.epoch !== undefined && next.replacement === undefined) await dropBelow(access, place, now);
  await queued(access, place); // another one may have done it, with these data
  if (!(await recordOf(access, place)).text.includes(token)) throw conflict(id);
}

/** The data of a job whose handler is to run: nothing stands in its place, and what it puts there has other ids. */
function asNew({ replacement, epoch = 0, ...data }: Envelope): Envelope {
  const next = replacement === undefined ? epoch : epoch + 1;
  return next === 0 ? data : { ...data, epoch: next };
}

/** Takes away what stood in the place of a failed job. What still runs of it goes on by itself, and its result is nobody's. */
async function dropBelow(access: StoreAccess, place: JobRef, now: number): Promise<void> {
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

/** The edited input, as it is stored. */
async function edited(
  { sealer }: StoreAccess,
  { id, name, data }: Edited,
  edit: (input: unknown) => Promise<unknown>,
): Promise<unknown> {
  const { after, items } = data;
  if (items !== undefined || (after !== undefined && !after.ignored))
    throw new JobStateError(`Job ${id} does not store its whole input, so the input cannot be edited.`);
  const context = { subject: 'input', id, task: name } as const;
  const input = await sealer.open(data.input, context);
  const fault = sanitize(input);
  if (fault !== undefined) throw new CorruptJobError(id, `its input is unusable: ${fault}`);
  return sealer.seal(await edit(input), context);
}

/** The name and the data of a job, as stored. */
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

/** Whether the job has these data now, which it gets only while it is failed and has the current ones. */
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
      return (await backend.getJobData(id))?.data === next; // the answer to an earlier try may have been lost
    }
    if ((await bull.getJobState(id)) !== 'failed') return false;
    await (await bull.getJob(id))?.updateData(JSON.parse(next) as Envelope);
    return true;
  });
}

/** Moves a failed job to those that wait. False if it is not failed. */
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
