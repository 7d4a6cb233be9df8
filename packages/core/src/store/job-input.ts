/** This module reads the input of a stored job as its handler receives it. `app.jobs` and `app.deadLetters` use it. */
import { isUmbelError } from '../base/errors.js';
import { isSealed } from '../codec/codecs.js';
import type { Envelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { completeInput } from '../workflow/input.js';
import { collectInputs } from '../workflow/join.js';
import type { StoreAccess } from './access.js';
import { childrenOfJob } from './results.js';
import type { StoredJob } from './stored-job.js';
import { childrenOf } from './tree.js';

/** Maximum number of job ids in `waitsFor`. */
const MOST_NAMED = 100;

/** Codes of errors in stored data; other errors are faults of the store. */
const EXPLAINED: ReadonlySet<string> = new Set(['UPSTREAM_FAILED', 'CORRUPT_JOB', 'VALIDATION']);

export interface CollectedInput {
  /** The whole input; while it is incomplete, the part that is stored with the job. */
  readonly input: unknown;
  /** Ids of jobs that have to end before the input is complete, up to 100. */
  readonly waitsFor?: readonly string[];
  /** Why the rest of the input is unreadable. */
  readonly inputProblem?: string;
}

/**
 * Returns the input of a job, combined with the results of earlier steps. A job of `chunks()` has an array of inputs.
 * @param mayWait Whether the job may still wait for others.
 */
export async function collectInput(
  access: StoreAccess,
  job: StoredJob,
  mayWait: boolean,
): Promise<CollectedInput> {
  const { envelope } = job;
  if (envelope === undefined) return { input: undefined };
  try {
    return await completed(access, job, envelope, mayWait);
  } catch (error) {
    // The job fails with the same error: an earlier step has failed, or its result is invalid or unreadable.
    if (!isUmbelError(error) || !EXPLAINED.has(error.code)) throw error;
    return { input: envelope.input, inputProblem: error.message };
  }
}

async function completed(
  access: StoreAccess,
  job: StoredJob,
  envelope: Envelope,
  mayWait: boolean,
): Promise<CollectedInput> {
  const { id, name, queue } = job;
  const { input, after, items, run } = envelope;
  if (items !== undefined) {
    const context = { subject: 'input', id, task: name } as const;
    const stored: unknown = items;
    const opened = isSealed(stored) ? await access.sealer.decode(stored, context) : stored;
    if (!Array.isArray(opened)) return { input };
    return { input: opened.map((item: unknown) => completeInput(name, envelope, item)) };
  }
  const isWhole = after === undefined || run === undefined || after.ignored || queue === INTERNAL_QUEUE;
  if (isWhole) return { input };
  const place = { queue, id };
  const collected = await collectInputs({ id, run }, childrenOfJob(access, place, mayWait), after);
  switch (collected.kind) {
    case 'value':
      return { input: completeInput(name, envelope, collected.value) };
    case 'stopped':
      return { input, inputProblem: 'Its chain ended before this step, so it is skipped.' };
    case 'waiting':
    case 'later':
      return { input, waitsFor: await pendingBelow(access, place) };
  }
}

/** Returns the ids of unended jobs below a job; internal jobs are replaced by the jobs that they wait for. */
async function pendingBelow(access: StoreAccess, place: JobRef): Promise<string[]> {
  const pending: string[] = [];
  const open = [place];
  for (let at = open.shift(); at !== undefined && pending.length < MOST_NAMED; at = open.shift()) {
    let hasPending = false;
    for await (const { queue, id } of childrenOf(access, at, ['unprocessed'])) {
      hasPending = true;
      if (queue === INTERNAL_QUEUE) open.push({ queue, id });
      else pending.push(id);
      if (pending.length >= MOST_NAMED) break;
    }
    if (!hasPending && at !== place) pending.push(at.id); // an internal job that runs now or soon
  }
  return pending;
}
