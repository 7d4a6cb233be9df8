/** Running what has failed again, in its place. */
import type { Job } from 'bullmq';
import { type Envelope, isEnvelope } from '../job/envelope.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_JOB, jobIdOf, nodesOf, withNodes } from '../job/job-tree.js';
import { isExpansion, isNode } from '../job/tree-checks.js';
import { PROBE } from '../workflow/join.js';
import { withoutExpiry } from '../workflow/prepare.js';
import { mergeData } from './job-options.js';
import type { EnvelopeQueue } from './queue-pool.js';
import { type ChildKind, childrenOf, ifBroken, type JobAccess } from './tree.js';

/** Inputs for steps that run again, as they are stored, by the ids of their jobs. */
export type NewInputs = ReadonlyMap<string, unknown>;

/**
 * Queues a failed job again, with all its attempts, after those below it that have failed; what has succeeded is kept.
 * Marks of revocations and expiries are taken away, also from those that have not ended. Gives the number of jobs that
 * run again.
 *
 * The store makes a job that is queued again a pending child of its parent once more, in one command; so a parent that is
 * queued after its children finds them pending, and waits. Done twice, or after a half of it, this changes nothing more.
 */
export function resumeTree(access: JobAccess, place: JobRef, inputs: NewInputs = new Map()): Promise<number> {
  return visitFailed(access, place, {
    unmark: ({ queue, id }) => access.on(queue, (bull) => unmark(bull, id)),
    requeue: ({ queue }, job) => access.on(queue, (bull) => requeue(bull, job, inputs)),
  });
}

/** A job that would run again. */
export interface Resumable extends JobRef {
  readonly task: string;
  readonly data: Envelope;
}

/** Those of the jobs with these ids that `resumeTree` would queue again; nothing is changed. */
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

/** The job with this id among those below a job, whatever has become of it. */
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
  /** A job that has not failed, and is to be kept from nothing. */
  unmark(place: JobRef): Promise<void>;
  /** A job that has failed, after those below it. */
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

/** Queues one failed job again, with all its attempts, and without what would keep it from starting. */
async function requeue(queue: EnvelopeQueue, job: Job<Envelope>, inputs: NewInputs): Promise<void> {
  const id = job.id ?? '';
  if (inputs.has(id)) await giveInput(queue, id, inputs.get(id));
  await unmark(queue, id);
  await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
}

/** Replaces the input of a job: also of one that takes it from the steps before it, which it goes on to wait for. */
async function giveInput(queue: EnvelopeQueue, id: string, input: unknown): Promise<void> {
  await mergeData(queue.getBackend(), id, ({ into: _place, after, ...data }) => ({
    ...data,
    input,
    ...(after !== undefined && { after: { ...after, ignored: true } }),
  }));
}

/** Of a fallback, the step that was tried last; else all. */
function lastTried({ name, data }: Job<Envelope>, children: readonly JobRef[]): readonly JobRef[] {
  const { run, expand } = data;
  if (name !== INTERNAL_JOB.fallback || run === undefined || expand === undefined || !('members' in expand))
    return children;
  const [other] = expand.members;
  const last = children.find(({ id }) => other !== undefined && id === jobIdOf(run, other.path));
  return last === undefined ? children : [last];
}

/** Takes away what keeps a job from starting. */
async function unmark(queue: EnvelopeQueue, id: string): Promise<void> {
  await mergeData(queue.getBackend(), id, (data) => {
    const { failure, revoked, skipped, expires, revokedTags, lost, replaced, expand } = data;
    const isMarked = [failure, revoked, skipped, expires, revokedTags, lost, replaced, expand].some(
      (mark) => mark !== undefined,
    );
    return isMarked ? unmarked(data) : undefined;
  });
}

/** The data of a job that is to start as if it never had. */
export function unmarked({
  failure,
  revoked,
  skipped,
  expires,
  revokedTags,
  lost,
  replaced, // what stands in its place is added again, if it is gone
  shared,
  expand,
  replacement,
  ...data
}: Envelope): Envelope {
  // What anybody has stored is left as it is: the job's worker says what is wrong with it.
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
    // What the store counts of stalls stays: without a record, the first of them would be noticed now.
    ...(lost !== undefined && { lost: { at: [] } }),
  };
}
