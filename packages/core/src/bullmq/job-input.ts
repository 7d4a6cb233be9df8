/** Reads the input of a stored job as its handler gets it, and changes nothing. `app.jobs` and `app.deadLetters` use it. */
import { isUmbelError } from '../errors.js';
import { gather } from '../flow/gather.js';
import { completeInput } from '../flow/input.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import type { Envelope } from '../wire/envelope.js';
import { isSealed } from '../wire/sealing.js';
import { childrenOfJob } from './results.js';
import type { StoreAccess } from './store-access.js';
import type { StoredJob } from './stored-job.js';
import { childrenOf, type JobPlace } from './tree.js';

/** Jobs that are named at most. */
const MOST_NAMED = 100;

/** Errors of what is stored; others are those of the store. */
const EXPLAINED: ReadonlySet<string> = new Set(['UPSTREAM_FAILED', 'CORRUPT_JOB', 'VALIDATION']);

export interface CollectedInput {
  /** The whole input; while it is not known, the part that is stored with the job. */
  readonly input: unknown;
  /** Ids of jobs that still have to end before the input is known, at most 100. */
  readonly waitsFor?: readonly string[];
  /** Why the rest of the input cannot be read. */
  readonly inputProblem?: string;
}

/**
 * The input of a job, with what earlier steps have given it: a job of `chunks()` has a list of inputs.
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
    // What the job fails with, or has failed with: a step before it has failed, or gave what does not fit or cannot be read.
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
    const opened = isSealed(stored) ? await access.sealer.open(stored, context) : stored;
    if (!Array.isArray(opened)) return { input };
    return { input: opened.map((item: unknown) => completeInput(name, envelope, item)) };
  }
  const isWhole = after === undefined || run === undefined || after.ignored || queue === INTERNAL_QUEUE;
  if (isWhole) return { input };
  const place = { queue, id };
  const collected = await gather({ id, run }, childrenOfJob(access, place, mayWait), after);
  switch (collected.kind) {
    case 'value':
      return { input: completeInput(name, envelope, collected.value) };
    case 'stopped':
      return { input, inputProblem: 'Its chain has ended before it: it is skipped.' };
    case 'waiting':
    case 'later':
      return { input, waitsFor: await pendingBelow(access, place) };
  }
}

/** The jobs that have not ended below one: for jobs that Umbel has added between tasks, those that they wait for. */
async function pendingBelow(access: StoreAccess, place: JobPlace): Promise<string[]> {
  const named: string[] = [];
  const open = [place];
  for (let at = open.shift(); at !== undefined && named.length < MOST_NAMED; at = open.shift()) {
    let hasPending = false;
    for await (const { queue, id } of childrenOf(access, at, ['unprocessed'])) {
      hasPending = true;
      if (queue === INTERNAL_QUEUE) open.push({ queue, id });
      else named.push(id);
      if (named.length >= MOST_NAMED) break;
    }
    if (!hasPending && at !== place) named.push(at.id); // a worker runs it now, or will
  }
  return named;
}
