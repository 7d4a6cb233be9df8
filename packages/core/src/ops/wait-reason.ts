/**
 * This module finds out why a job or a workflow run has not ended, for `app.jobs.waitReason`. It reads a bounded number of
 * jobs, and changes nothing.
 */
import type { WorkerQuery } from '../control/ask.js';
import { type QueueInfo, queueInfo } from '../control/inspect.js';
import { workerStateOf } from '../control/worker-record.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { isFinal } from '../job/states.js';
import { jobsAhead, waitingJob } from '../store/queues.js';
import { knownStanding } from '../store/read.js';
import type { Store } from '../store/store.js';
import type { StoredJob } from '../store/stored-job.js';
import { childrenOf } from '../store/tree.js';
import { stepWaitOf } from '../workflow/graph-waits.js';
import type { ConditionReader } from './job-conditions.js';
import type { WaitReason } from './job-query.js';

interface Dependencies {
  readonly store: Store;
  readonly workerQuery: WorkerQuery;
  readonly conditions: ConditionReader;
}

/** Maximum number of jobs to read below a job. */
const MAX_READ = 1000;
/** Maximum number of ids in `WaitReason.jobs`. */
const MAX_NAMED = 100;

/** A job that was revoked is in its queue until then. */
const REVOKED = 'It is revoked: it never starts, and ends when a worker takes it.';

/** Returns why the job has not ended; undefined if it has, or if it runs. A late job says since when it waits. */
export async function waitReasonOf(
  dependencies: Dependencies,
  { job, state }: { readonly job: StoredJob; readonly state: string },
): Promise<WaitReason | undefined> {
  if (isFinal(state)) return undefined;
  if (state === 'active') return stuckReason(dependencies, job);
  const found = await reasonToWait(dependencies, { job, state });
  const isRevoked = job.envelope?.revoked !== undefined;
  const reason = found && isRevoked ? { ...found, text: `${found.text} ${REVOKED}` } : found;
  if (reason === undefined || isRevoked || (state !== 'waiting' && state !== 'delayed')) return reason;
  const lateSince =
    job.queue === INTERNAL_QUEUE ? undefined : await dependencies.conditions.lateSince(job, state);
  if (lateSince === undefined) return reason;
  return {
    ...reason,
    text: `${reason.text} It is late: it could start at ${new Date(lateSince).toISOString()}.`,
  };
}

async function stuckReason({ conditions }: Dependencies, job: StoredJob): Promise<WaitReason | undefined> {
  const why = job.queue === INTERNAL_QUEUE ? undefined : await conditions.stuckReason(job);
  return why === undefined ? undefined : { kind: 'stuck', text: `It is active but stuck. ${why}` };
}

async function reasonToWait(
  dependencies: Dependencies,
  { job, state }: { readonly job: StoredJob; readonly state: string },
): Promise<WaitReason | undefined> {
  const { id, name, queue, envelope } = job;
  const wait = stepWaitOf(name, { id, queue, state }, envelope ?? {});
  if (wait !== undefined && state === 'delayed') {
    const { kind, label, until, signal } = wait;
    const end = until === undefined ? '' : `, until ${until.toISOString()}`;
    if (kind === 'waitFor') {
      const key = signal?.key === undefined ? '' : ` with the key "${signal.key}"`;
      return { kind: 'signal', text: `It waits for signal "${signal?.name}"${key}${end}.`, ...at(until) };
    }
    return { kind, text: `It waits in the step "${label}"${end}.`, ...at(until) };
  }
  switch (state) {
    case 'waiting-children':
      return stepsReason(dependencies, { queue, id });
    case 'delayed':
      return delayReason(dependencies, job);
    case 'waiting':
      return queueReason(dependencies, job);
    default:
      return undefined;
  }
}

// Jobs that wait for others

async function stepsReason(dependencies: Dependencies, place: JobRef): Promise<WaitReason | undefined> {
  const { leaves, isComplete } = await unendedLeaves(dependencies.store, place);
  const [first] = leaves;
  if (first === undefined) return undefined; // the last one has ended meanwhile
  const { job, state } = await knownStanding(dependencies.store, first);
  const shown = state === 'prioritized' || state === 'paused' ? 'waiting' : state;
  const reason = job && (await waitReasonOf(dependencies, { job, state: shown }));
  const internal = reason === undefined ? 'an internal job' : 'a step of the workflow';
  const name = first.queue === INTERNAL_QUEUE ? internal : `task "${job?.name ?? 'unknown'}"`;
  const more = isComplete ? '' : ' or more';
  const isOne = leaves.length === 1 && isComplete;
  const which = isOne ? name : `${leaves.length}${more} jobs. The first is ${name}`;
  const why = reason === undefined ? `${stateText(shown)}.` : `: ${lowerFirst(reason.text)}`;
  const isStep = isOne && reason !== undefined && first.queue === INTERNAL_QUEUE;
  return {
    kind: 'steps',
    text: isStep ? reason.text : `It waits for ${which}${why}`,
    ...(leaves.length === 1 ? at(reason?.until) : {}),
    jobs: leaves.slice(0, MAX_NAMED).map(({ id }) => id),
  };
}

const stateText = (state: string): string => (state === 'active' ? ', which runs' : `, which is ${state}`);
const lowerFirst = (text: string): string => `${text.charAt(0).toLowerCase()}${text.slice(1)}`;

/** Returns the jobs below a job that have not ended and wait for no other job. */
async function unendedLeaves(
  store: Store,
  root: JobRef,
): Promise<{ readonly leaves: readonly JobRef[]; readonly isComplete: boolean }> {
  const leaves: JobRef[] = [];
  const open: JobRef[] = [root];
  let read = 0;
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    const below: JobRef[] = [];
    for await (const { queue, id } of childrenOf(store, place, ['unprocessed'])) {
      read += 1;
      below.push({ queue, id });
      if (read >= MAX_READ) break;
    }
    if (below.length === 0 && place !== root) leaves.push(place);
    if (read >= MAX_READ) {
      leaves.push(...below);
      return { leaves, isComplete: false };
    }
    open.push(...below.reverse());
  }
  return { leaves, isComplete: true };
}

// Jobs that wait for their time

async function delayReason({ store }: Dependencies, job: StoredJob): Promise<WaitReason> {
  const { dueAt = 0 } = (await waitingJob(store, job)) ?? {};
  const until = dueAt > 0 ? new Date(dueAt) : undefined;
  const end = until === undefined ? '' : `, at ${until.toISOString()} at the earliest`;
  if (job.attempts > 0) {
    const next = `attempt ${job.attempts + 1}`;
    return { kind: 'retry', text: `It waits for a retry, ${next}${end}.`, ...at(until) };
  }
  return { kind: 'delay', text: `It was sent for later${end}.`, ...at(until) };
}

const at = (until: Date | undefined): { readonly until?: Date } => (until === undefined ? {} : { until });

// Jobs that wait for a worker

async function queueReason(dependencies: Dependencies, job: StoredJob): Promise<WaitReason> {
  const { store, workerQuery } = dependencies;
  const { queue } = job;
  const records = await workerQuery.records();
  const { now } = workerQuery;
  const info = await queueInfo(store, queue, records, now);
  const present = records.filter((record) => workerStateOf(record, now) !== 'missing');
  // Every worker serves the internal queue, without naming it.
  const isServed = queue === INTERNAL_QUEUE ? present.length > 0 : info.workers.length > 0;
  const blocked = blockedReason(info, isServed, now);
  if (blocked !== undefined) return blocked;
  const ahead = await jobsAhead(store, job, MAX_READ);
  const before =
    ahead === undefined
      ? `at least ${MAX_READ} other jobs`
      : ahead === 0
        ? undefined
        : ahead === 1
          ? 'one other job'
          : `${ahead} other jobs`;
  return {
    kind: 'queued',
    text:
      before === undefined
        ? `It is the next job of queue "${queue}" and starts when a worker has a free slot.`
        : `It waits behind ${before} of queue "${queue}".`,
    ...(ahead !== undefined && { ahead }),
  };
}

function blockedReason(
  { name, isPaused, limitedMs, concurrency, counts }: QueueInfo,
  isServed: boolean,
  now: number,
): WaitReason | undefined {
  if (isPaused) return { kind: 'paused', text: `It waits because queue "${name}" is paused.` };
  if (!isServed) return { kind: 'unserved', text: `It waits because no worker serves queue "${name}".` };
  if (limitedMs !== null) {
    const until = new Date(now + limitedMs);
    const text = `It waits because the rate limit of queue "${name}" is used up until ${until.toISOString()}.`;
    return { kind: 'rate-limit', text, until };
  }
  if (concurrency !== null && counts.active >= concurrency) {
    const running = `${counts.active} of ${concurrency} allowed jobs run`;
    return {
      kind: 'concurrency',
      text: `It waits for the concurrency limit of queue "${name}": ${running}.`,
    };
  }
  return undefined;
}
