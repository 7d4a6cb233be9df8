/** This module queues the failed jobs of a run again. `result.resume()` uses it. */
import type { Job } from 'bullmq';
import { type Envelope, isEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_JOB, jobIdOf, nodesOf, withNodes } from '../job/job-tree.js';
import { isExpansion, isNode } from '../job/tree-checks.js';
import { PROBE } from '../workflow/join.js';
import { withoutExpiry } from '../workflow/prepare.js';
import { mergeData } from './job-options.js';
import type { EnvelopeQueue } from './queue-pool.js';
import { reopenWait } from './signals.js';
import { type ChildKind, childrenOf, ifBroken, type JobAccess } from './tree.js';

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
export function unmarked({
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
