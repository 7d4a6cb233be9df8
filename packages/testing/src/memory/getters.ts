import type { Looks, SeenJob } from '@umbel/core/internal';
import type { JobState } from 'bullmq';
import { countPriority, dueScoreBefore } from './enqueue.js';
import type { JobRecord, Placement } from './job-record.js';
import type { QueueData } from './queue-data.js';
import type { Scored, SortedSet } from './sorted-set.js';

/** A job's state under the name BullMQ gives it. */
export function stateOf(queue: QueueData, jobId: string): JobState | 'unknown' {
  const placement = queue.jobs.get(jobId)?.placement;
  return placement === 'wait' ? 'waiting' : (placement ?? 'unknown');
}

const PLACEMENTS: ReadonlySet<string> = new Set<Placement>([
  'wait',
  'active',
  'prioritized',
  'delayed',
  'completed',
  'failed',
  'waiting-children',
]);

function isPlacement(name: string): name is Placement {
  return PLACEMENTS.has(name);
}

/** Whether a job is in a state; throws for a name that is no state. */
export function isInState(queue: QueueData, state: string, jobId: string): boolean {
  const name = state === 'waiting' ? 'wait' : state;
  if (name === 'paused') return false;
  if (!isPlacement(name)) throw new Error(`Unknown job state: ${state}`);
  return queue.jobs.get(jobId)?.placement === name;
}

/** Whether a job completed (1), failed (2), runs or waits (0) or is missing (-1). */
export function finishedStatus(job: JobRecord | undefined): number {
  if (!job) return -1;
  return ['completed', 'failed'].indexOf(job.placement ?? '') + 1;
}

/** What a finished job returned as JSON text, or why it failed. */
export function outcomeOf(job: JobRecord): string | undefined {
  return job.placement === 'completed' ? job.returnvalue : job.failedReason;
}

const STATUS = { '-1': 'missing', '0': 'pending', '1': 'completed', '2': 'failed' } as const;

/** How far jobs have come, and which events the queue holds. Of the first `followed` of them, the progress is told too. */
export function lookAtJobs(queue: QueueData, ids: readonly string[], followed: number): Looks {
  const jobs: SeenJob[] = [];
  for (const [index, id] of ids.entries()) {
    const job = queue.jobs.get(id);
    const status = STATUS[String(finishedStatus(job)) as keyof typeof STATUS];
    const progress = index < followed ? job?.progress : undefined;
    if (status === 'pending' && progress === undefined) continue;
    const hasEnded = status === 'completed' || status === 'failed';
    jobs.push({ index, status, text: job && hasEnded ? outcomeOf(job) : undefined, progress });
  }
  const { edges } = queue.events;
  return { events: { first: edges?.first, last: edges?.last }, jobs };
}

/** How many jobs each state holds; with `before`, only the delayed jobs due before that moment. */
export function counts(queue: QueueData, types: readonly string[], before?: number): number[] {
  return types.map((type) => {
    const name = type === 'waiting' ? 'wait' : type;
    if (name === 'repeat') return queue.schedulers.size;
    if (!isPlacement(name)) return 0;
    if (name === 'wait' || name === 'active') return queue[name].size;
    if (name === 'delayed' && before !== undefined) return queue.delayed.countUpTo(dueScoreBefore(before));
    return queue.sorted(name).size;
  });
}

/** How many waiting jobs have each priority; 0 counts those without one. */
export function countsPerPriority(queue: QueueData, priorities: readonly number[]): number[] {
  return priorities.map((priority) => (priority === 0 ? queue.wait.size : countPriority(queue, priority)));
}

/** The job ids of a range of each state; lists are not reversed for `asc`, since BullMQ reverses them itself. */
export function ranges(
  queue: QueueData,
  types: readonly string[],
  start: number,
  end: number,
  asc: boolean,
): string[][] {
  return types.map((type) => {
    const name = type === 'waiting' ? 'wait' : type;
    if (name === 'repeat') return idsOf(sortedRange(queue.schedule, start, end, asc));
    if (!isPlacement(name)) return [];
    if (name === 'wait' || name === 'active') return idsOf(listRange(queue, name, start, end, asc));
    return idsOf(sortedRange(queue.sorted(name), start, end, asc));
  });
}

function listRange(
  queue: QueueData,
  name: 'wait' | 'active',
  start: number,
  end: number,
  asc: boolean,
): JobRecord[] {
  if (!asc) return queue[name].range(start, end);
  return queue[name].range(end === -1 ? 0 : -(end + 1), start === -1 ? 0 : -(start + 1));
}

function sortedRange<T extends Scored>(set: SortedSet<T>, start: number, end: number, asc: boolean): T[] {
  return asc ? set.range(start, end) : set.reverseRange(start, end);
}

function idsOf(items: readonly { readonly id: string }[]): string[] {
  return items.map((item) => item.id);
}
