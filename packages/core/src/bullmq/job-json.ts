/**
 * A job that is to be added, as BullMQ's backends take it. Its `Queue` and its `Job` make the same, and cost more than all
 * that Umbel does for a call: they copy the options several times, keep an object with what a job will have once it has
 * run, and store in the options again what the job has anyway (its id, its parent).
 */
import { getParentKey, type JobJson, type JobsOptions, type ParentKeyOpts } from 'bullmq';
import { systemClock } from '../clock.js';

/** A job that others are added below. */
export interface ParentKey {
  readonly id: string;
  /** Its queue's qualified name. */
  readonly queue: string;
}

/** Options as BullMQ's `add` takes them, without the id. */
export type OwnOptions = Omit<JobsOptions, 'jobId' | 'parent' | 'timestamp' | OnFailure>;

/** What a failure of the job does to its parent: it starts at once, or it goes on waiting for the others. */
type OnFailure = 'continueParentOnFailure' | 'ignoreDependencyOnFailure';

/** A job below another one. */
export interface Below {
  readonly parent: ParentKey;
  readonly onFailure: OnFailure;
}

/** Stored now. Its data are what JSON carries; its options have been checked. */
export function jobJson(id: string, name: string, data: object, opts: OwnOptions, below?: Below): JobJson {
  const json: JobJson = {
    id,
    name,
    data: JSON.stringify(data),
    opts,
    timestamp: systemClock.now(),
    // Of a job that has not run.
    progress: 0,
    attemptsMade: 0,
    attemptsStarted: 0,
    stalledCounter: 0,
    failedReason: 'null',
    returnvalue: 'null',
  };
  if (opts.deduplication !== undefined) json.deduplicationId = opts.deduplication.id;
  if (below === undefined) return json;
  const { parent, onFailure } = below;
  const flag = onFailure === 'continueParentOnFailure' ? { cpof: true } : { idof: true };
  json.parent = { id: parent.id, queueKey: parent.queue, ...flag };
  json.parentKey = keyOf(parent);
  return json;
}

/** What the store is told of where the job stands. With `waits` it waits for jobs that are added below it. */
export function linkOf(below: Below | undefined, waits = false): ParentKeyOpts {
  const link: ParentKeyOpts = {};
  if (below !== undefined) {
    link.parentKey = keyOf(below.parent);
    link.parentDependenciesKey = `${link.parentKey}:dependencies`;
  }
  if (waits) link.addToWaitingChildren = true;
  return link;
}

function keyOf({ id, queue }: ParentKey): string {
  return getParentKey({ id, queue }) ?? '';
}
