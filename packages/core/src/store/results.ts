/** This module reads outcomes and results of jobs and runs. */
import { ClosedError, type FailureOrigin } from '../base/errors.js';
import { UpstreamFailedError } from '../base/failures.js';
import { isSealed } from '../codec/codecs.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { isLeftOut, isStopped, referredMembers } from '../job/marks.js';
import { type Children, readMembers } from '../workflow/join.js';
import type { StoreAccess } from './access.js';
import { lookPrimitiveOf } from './primitives/looks.js';
import { childResultsOf, failedChildrenOf, failureIn, failureOf, parsedResult, readJob } from './read.js';
import type { JobEnd } from './watcher.js';

/** Outcome of a job, as far as it is known. */
export type JobOutcome =
  | { readonly kind: 'pending' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'completed'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly failure: FailureOrigin };

/** Reads the outcome of a job. @param isCancelled Returns whether the wait was cancelled: then reading a large group stops. */
export async function jobOutcomeOf(
  access: StoreAccess,
  place: JobRef,
  isCancelled?: () => boolean,
): Promise<JobOutcome> {
  const { queue, id } = place;
  const answer = await access.on(queue, (bull) => bull.getBackend().isFinished(id, true));
  const [status, text] = Array.isArray(answer) ? answer : [answer, ''];
  if (status === -1) return { kind: 'missing' };
  if (status === 1) return completed(access, place, parsedResult(id, text), isCancelled);
  if (status === 2) return { kind: 'failed', failure: await failureOf(access, place, text) };
  return { kind: 'pending' };
}

/** Reads the outcome of a job after an event about its end; `pending` if the store says otherwise now. */
export async function outcomeOfEnd(
  access: StoreAccess,
  place: JobRef,
  { kind, text }: JobEnd,
  isCancelled?: () => boolean,
): Promise<JobOutcome> {
  if (kind === 'missing') return { kind };
  if (kind === 'failed' && text !== undefined) {
    const job = await readJob(access, place);
    // Check the store too: any program may write events, and the job may have been sent again since.
    if (job?.finishedAt !== undefined) return { kind, failure: failureIn(job, place, text) };
  }
  const stored = kind === 'completed' && text !== undefined ? resultIn(place.id, text) : UNKNOWN;
  if (stored === UNKNOWN) return jobOutcomeOf(access, place, isCancelled);
  return completed(access, place, stored, isCancelled);
}

/** Reads the outcomes of jobs of a queue, of at most a hundred at a time: with one command, if the store has it. */
export async function jobOutcomesOf(
  access: StoreAccess,
  queue: string,
  ids: readonly string[],
): Promise<JobOutcome[]> {
  const looks = await access.on(queue, async (bull) =>
    lookPrimitiveOf(bull.getBackend())?.lookAtJobs(ids, 0),
  );
  if (looks === undefined) return Promise.all(ids.map((id) => jobOutcomeOf(access, { queue, id })));
  const seen = new Map(looks.jobs.map((job) => [job.index, job]));
  return Promise.all(
    ids.map(async (id, index): Promise<JobOutcome> => {
      const { status: kind = 'pending', text } = seen.get(index) ?? {};
      return kind === 'pending' ? { kind } : outcomeOfEnd(access, { queue, id }, { kind, text });
    }),
  );
}

const UNKNOWN = Symbol('unknown');

/** Returns the result in an event, which any program may have written. */
function resultIn(id: string, text: string): unknown {
  try {
    const result = parsedResult(id, text);
    return isLeftOut(result) ? UNKNOWN : result;
  } catch {
    return UNKNOWN; // read the result from the store instead
  }
}

/** Returns access to the children of internal jobs, by the id of their parent. */
export function internalChildren(access: StoreAccess, isCancelled = () => false): Children {
  return {
    results: async (of = '') => {
      if (isCancelled()) throw new ClosedError('The wait for this result was cancelled.');
      return openedResults(access, { queue: INTERNAL_QUEUE, id: of });
    },
    failed: (of = '') => failedChildrenOf(access, { queue: INTERNAL_QUEUE, id: of }),
    origin: ({ queue, id, reason }) => failureOf(access, { queue, id }, reason),
    mayBePending: false,
  };
}

/** Returns access to the children of one job of any queue, as its worker would read them. */
export function childrenOfJob(access: StoreAccess, place: JobRef, mayBePending: boolean): Children {
  const internal = internalChildren(access);
  let results: Promise<ReadonlyMap<string, unknown>> | undefined;
  return {
    ...internal,
    results(of) {
      if (of !== undefined) return internal.results(of);
      results ??= openedResults(access, place);
      return results;
    },
    failed: (of) => (of === undefined ? failedChildrenOf(access, place) : internal.failed(of)),
    mayBePending,
  };
}

async function openedResults(access: StoreAccess, place: JobRef): Promise<ReadonlyMap<string, unknown>> {
  const results = new Map<string, unknown>();
  for (const [id, value] of await childResultsOf(access, place))
    results.set(id, await opened(access, id, value));
  return results;
}

/** Returns the outcome of a completed job. For a large group it is a failure if a member's result is missing. */
async function completed(
  access: StoreAccess,
  place: JobRef,
  stored: unknown,
  isCancelled: (() => boolean) | undefined,
): Promise<JobOutcome> {
  try {
    return { kind: 'completed', value: await resultOf(access, place, stored, isCancelled) };
  } catch (error) {
    if (!(error instanceof UpstreamFailedError)) throw error;
    return { kind: 'failed', failure: error.origin };
  }
}

/** Returns the result of a job from its stored form. */
async function resultOf(
  access: StoreAccess,
  place: JobRef,
  stored: unknown,
  isCancelled: (() => boolean) | undefined,
): Promise<unknown> {
  const { id } = place;
  const value = await opened(access, id, stored);
  if (isStopped(value)) return value.value;
  const members = referredMembers(value);
  if (members === undefined) return value;
  const { run = id } = (await readJob(access, place))?.envelope ?? {};
  return readMembers({ id, run }, internalChildren(access, isCancelled), members);
}

function opened({ sealer }: StoreAccess, id: string, value: unknown): unknown {
  return isSealed(value) ? sealer.decode(value, { subject: 'result', id, task: '' }) : value;
}
