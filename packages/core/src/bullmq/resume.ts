/** Running what has failed again, in its place. */
import type { Job } from 'bullmq';
import { nodesOf, withNodes } from '../flow/expansion.js';
import { PROBE } from '../flow/needed.js';
import { INTERNAL_JOB, jobIdOf } from '../flow/node.js';
import { withoutExpiry } from '../flow/prepare.js';
import { isExpansion, isNode } from '../flow/shape.js';
import { type Envelope, isEnvelope } from '../wire/envelope.js';
import type { EnvelopeQueue } from './backends.js';
import { mergeData } from './merge-data.js';
import { type ChildKind, childrenOf, ifBroken, type JobAccess, type JobPlace } from './tree.js';

/**
 * Queues a failed job again, with all its attempts, after those below it that have failed; what has succeeded is kept.
 * Marks of revocations and expiries are taken away, also from those that have not ended. Gives the number of jobs that
 * run again.
 *
 * The store makes a job that is queued again a pending child of its parent once more, in one command; so a parent that is
 * queued after its children finds them pending, and waits. Done twice, or after a half of it, this changes nothing more.
 */
export async function resumeTree(access: JobAccess, place: JobPlace): Promise<number> {
  const job = await access.on(place.queue, (bull) => bull.getJob(place.id).catch(ifBroken));
  if (job === undefined || !isEnvelope(job.data)) return 0;
  const isFailed = await access.on(place.queue, () => job.isFailed());
  const kinds: ChildKind[] = isFailed ? ['ignored', 'unprocessed'] : ['unprocessed'];
  const below: JobPlace[] = [];
  for await (const child of childrenOf(access, place, kinds)) below.push(child);
  let count = 0;
  for (const child of isFailed ? lastTried(job, below) : below) count += await resumeTree(access, child);
  if (!isFailed || job.failedReason === PROBE.won) {
    await access.on(place.queue, (bull) => unmark(bull, place.id));
    return count;
  }
  await access.on(place.queue, (bull) => requeue(bull, job));
  return count + 1;
}

/** Queues one failed job again, with all its attempts, and without what would keep it from starting. */
async function requeue(queue: EnvelopeQueue, job: Job<Envelope>): Promise<void> {
  await unmark(queue, job.id ?? '');
  await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
}

/** Of a fallback, the step that was tried last; else all. */
function lastTried({ name, data }: Job<Envelope>, children: readonly JobPlace[]): readonly JobPlace[] {
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
