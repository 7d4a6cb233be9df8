/** How jobs have ended, and what they have given. */
import { ClosedError, type FailureOrigin, UpstreamFailedError } from '../base/errors.js';
import { isSealed } from '../codec/codecs.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { isLeftOut, isStopped, referredMembers } from '../job/marks.js';
import { type Children, readMembers } from '../workflow/join.js';
import type { StoreAccess } from './access.js';
import { childResultsOf, failedChildrenOf, failureIn, failureOf, parsedResult, readJob } from './read.js';
import type { JobEnd } from './watcher.js';

/** How far a job has come. */
export type JobOutcome =
  | { readonly kind: 'pending' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'completed'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly failure: FailureOrigin };

/** @param isLeft Whether nobody waits for it any more: then the results of a large group are not read to the end. */
export async function jobOutcomeOf(
  access: StoreAccess,
  place: JobRef,
  isLeft?: () => boolean,
): Promise<JobOutcome> {
  const { queue, id } = place;
  const answer = await access.on(queue, (bull) => bull.getBackend().isFinished(id, true));
  const [status, text] = Array.isArray(answer) ? answer : [answer, ''];
  if (status === -1) return { kind: 'missing' };
  if (status === 1) return completed(access, place, parsedResult(id, text), isLeft);
  if (status === 2) return { kind: 'failed', failure: await failureOf(access, place, text) };
  return { kind: 'pending' };
}

/** The outcome of a job of which is known how it has ended; `pending` if the store says otherwise now. */
export async function outcomeOfEnd(
  access: StoreAccess,
  place: JobRef,
  { kind, text }: JobEnd,
  isLeft?: () => boolean,
): Promise<JobOutcome> {
  if (kind === 'missing') return { kind };
  if (kind === 'failed' && text !== undefined) {
    const job = await readJob(access, place);
    // By the event's word alone, anybody could end a wait; and the job may have been sent again meanwhile.
    if (job?.finishedAt !== undefined) return { kind, failure: failureIn(job, place, text) };
  }
  const stored = kind === 'completed' && text !== undefined ? resultIn(place.id, text) : UNKNOWN;
  if (stored === UNKNOWN) return jobOutcomeOf(access, place, isLeft);
  return completed(access, place, stored, isLeft);
}

const UNKNOWN = Symbol('unknown');

/** The result in an event, which anybody may have written. */
function resultIn(id: string, text: string): unknown {
  try {
    const result = parsedResult(id, text);
    return isLeftOut(result) ? UNKNOWN : result;
  } catch {
    return UNKNOWN; // the store decides what it is
  }
}

/** Children of internal jobs, by the id of their job. */
export function internalChildren(access: StoreAccess, isLeft = () => false): Children {
  return {
    results: async (of = '') => {
      if (isLeft()) throw new ClosedError('The wait for this result was cancelled.');
      return openedResults(access, { queue: INTERNAL_QUEUE, id: of });
    },
    failed: (of = '') => failedChildrenOf(access, { queue: INTERNAL_QUEUE, id: of }),
    origin: ({ queue, id, reason }) => failureOf(access, { queue, id }, reason),
    mayBePending: false,
  };
}

/** The same with those of one job, whatever its queue, as its worker would read them. */
export function childrenOfJob(access: StoreAccess, place: JobRef, mayBePending: boolean): Children {
  const internal = internalChildren(access);
  let own: Promise<ReadonlyMap<string, unknown>> | undefined;
  return {
    ...internal,
    results(of) {
      if (of !== undefined) return internal.results(of);
      own ??= openedResults(access, place);
      return own;
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

/** The result of a job; of a large group, the failure if a member's result is gone. */
async function completed(
  access: StoreAccess,
  place: JobRef,
  stored: unknown,
  isLeft: (() => boolean) | undefined,
): Promise<JobOutcome> {
  try {
    return { kind: 'completed', value: await resultOf(access, place, stored, isLeft) };
  } catch (error) {
    if (!(error instanceof UpstreamFailedError)) throw error;
    return { kind: 'failed', failure: error.origin };
  }
}

/** The result that a job has given, from what is stored of it. */
async function resultOf(
  access: StoreAccess,
  place: JobRef,
  stored: unknown,
  isLeft: (() => boolean) | undefined,
): Promise<unknown> {
  const { id } = place;
  const value = await opened(access, id, stored);
  if (isStopped(value)) return value.value;
  const members = referredMembers(value);
  if (members === undefined) return value;
  const { run = id } = (await readJob(access, place))?.envelope ?? {};
  return readMembers({ id, run }, internalChildren(access, isLeft), members);
}

function opened({ sealer }: StoreAccess, id: string, value: unknown): unknown {
  return isSealed(value) ? sealer.open(value, { subject: 'result', id, task: '' }) : value;
}
