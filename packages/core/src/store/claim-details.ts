/**
 * This module keeps what the store tells about a claimed job beyond its record: the results of the children that it waited
 * for, so that a step of a workflow needs no command of its own to read the result of the step before it, and whether it was
 * the last job that waited, so that the worker need not ask for another one.
 */
import type { IQueueBackend, Job } from 'bullmq';

export interface ClaimDetails {
  /** The key and the JSON text of each result, one after the other. */
  readonly childResults: readonly string[] | undefined;
  /** Whether the store said that none of its children had failed when it read the results. */
  readonly noneFailed?: true;
  /** Whether no other job waited in the queue. */
  readonly isLast: boolean;
}

/** By job id, for each backend, from the answer of the store until its worker makes the job of it. */
const answered = new WeakMap<IQueueBackend, Map<string, ClaimDetails>>();
/** By the job that they came with, until they are used. */
const childResults = new WeakMap<object, readonly string[]>();
/** The jobs of which no child had failed when they were claimed, until that is used. */
const withoutFailures = new WeakSet<object>();

/** Returns the details of the jobs that a backend claimed and that its worker has not made yet, by job id. */
export function claimDetailsOf(backend: IQueueBackend): Map<string, ClaimDetails> {
  let details = answered.get(backend);
  if (details === undefined) {
    details = new Map();
    answered.set(backend, details);
  }
  return details;
}

/** Gives the results that came with a job to it. Returns whether it was the last one that waited. */
export function takeClaimDetails(details: Map<string, ClaimDetails>, job: Job<unknown, unknown>): boolean {
  if (details.size === 0) return false;
  const { id = '' } = job;
  const own = details.get(id);
  if (own === undefined) return false;
  details.delete(id);
  if (own.childResults !== undefined) childResults.set(job, own.childResults);
  if (own.noneFailed === true) withoutFailures.add(job);
  return own.isLast;
}

/**
 * Returns the keys of the children with their results, once; undefined if none came with the job. Whoever asks later may
 * have added children since the job was claimed.
 */
export function takeChildResults(job: Job): [key: string, result: unknown][] | undefined {
  const list = childResults.get(job);
  if (list === undefined) return undefined;
  childResults.delete(job);
  const results: [string, unknown][] = [];
  for (let index = 0; index < list.length; index += 2)
    results.push([list[index] ?? '', JSON.parse(list[index + 1] ?? 'null')]);
  return results;
}

/** Returns whether the store told with the job that none of its children had failed. It does so once, as with their results. */
export function takeNoneFailed(job: Job): boolean {
  return withoutFailures.delete(job);
}
