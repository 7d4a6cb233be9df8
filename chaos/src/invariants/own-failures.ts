/** I6: no node fails unless its handler failed, a step before it did, or it is poison. */
import { ENDS_PROCESS } from '../poison.js';
import type { StoredJob } from '../stored-state.js';
import { isNodeName } from '../versions.js';
import { type Invariant, show, type Violation } from './evidence.js';

/** Starts after which poison is given up: two beside others, four in which it may outlive its time alone, five alone. */
const POISON_STARTS = 11;

export const ownFailures: Invariant = ({ ledger, store, workflows }) => {
  const failed = new Set(ledger.filter(({ how }) => how === 'failed').map(({ job }) => job));
  const violations: Violation[] = [];
  for (const job of store.jobs) {
    if (!isNodeName(job.name) || job.state !== 'failed' || failed.has(job.id)) continue;
    const origin = originOf(job);
    if (origin?.state === 'revoked' || origin?.state === 'skipped') continue;
    const isOwn = origin === undefined || origin.jobId === job.id;
    const isUnfounded = origin !== undefined && isNodeName(origin.task) && !failed.has(origin.jobId);
    if (!isOwn && !isUnfounded) continue;
    const { w } = (job.data?.input ?? {}) as { w?: number };
    const message = `job ${job.id} failed, and no handler did: ${job.failedReason} ${show(origin)}`;
    violations.push({ invariant: 'I6', ...(w !== undefined && { workflow: w }), message });
  }
  for (const { index, run, poison, final, entries } of workflows) {
    if (poison === undefined || run === undefined) continue;
    const report = (message: string) => violations.push({ invariant: 'I6', workflow: index, run, message });
    const starts = entries.filter(({ event }) => event === 'start').length;
    if (final?.state !== 'failed') report(`poison (${poison}) did not fail: ${final?.state}`);
    const allowed = ENDS_PROCESS.has(poison) ? POISON_STARTS : Number.POSITIVE_INFINITY;
    if (starts > allowed) report(`poison (${poison}) was started ${starts} times, and not ${allowed}`);
  }
  return violations;
};

interface Origin {
  readonly task: string;
  readonly jobId: string;
  readonly state?: string;
}

/** What is recorded of the job that failed first. */
function originOf({ data }: StoredJob): Origin | undefined {
  return data?.failure as Origin | undefined;
}
