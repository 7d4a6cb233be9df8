/** Reads of the memory store: states, counts, ranges and children of jobs. */

import type { Looks, SeenJob } from '@umbel/core/internal';
import type { DependenciesOpts, DependencyOpts, JobState } from 'bullmq';
import { type Scored, type SortedSet, sliceRange } from './collections.js';
import { countPriority, dueScoreBefore } from './enqueue.js';
import { Children, type JobRecord, type Placement } from './job-record.js';
import type { QueueData } from './queue.js';

/** Returns the state of a job by BullMQ's name. */
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

/** Whether a job is in a state. @throws for an unknown state. */
export function isInState(queue: QueueData, state: string, jobId: string): boolean {
  const name = state === 'waiting' ? 'wait' : state;
  if (name === 'paused') return false;
  if (!isPlacement(name)) throw new Error(`Unknown job state: ${state}`);
  return queue.jobs.get(jobId)?.placement === name;
}

/** Returns 1 for a completed job, 2 for a failed one, 0 for an unfinished one, and -1 for a missing one. */
export function finishedStatus(job: JobRecord | undefined): number {
  if (!job) return -1;
  return ['completed', 'failed'].indexOf(job.placement ?? '') + 1;
}

/** Returns the result of a finished job as JSON text, or the reason of its failure. */
export function outcomeOf(job: JobRecord): string | undefined {
  return job.placement === 'completed' ? job.returnvalue : job.failedReason;
}

const STATUS = { '-1': 'missing', '0': 'pending', '1': 'completed', '2': 'failed' } as const;

/** Returns the status of jobs and the range of stored events; with progress for the first `followed` jobs. */
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

/** Returns the number of jobs in each state; with `before`, only the delayed jobs due before that time. */
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

/** Returns the number of waiting jobs of each priority; 0 means without a priority. */
export function countsPerPriority(queue: QueueData, priorities: readonly number[]): number[] {
  return priorities.map((priority) => (priority === 0 ? queue.wait.size : countPriority(queue, priority)));
}

/** Returns the job ids of a range of each state. Lists are not reversed for `asc`, because BullMQ reverses them. */
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

// Redis returns a set or hash of up to this many short members as one page, with every count.
const COMPACT_MEMBERS = 128;
const COMPACT_BYTES = 64;
const DEFAULT_COUNT = 20;

/** A job's children by their outcome. */
export interface Dependencies {
  processed?: Record<string, unknown>;
  nextProcessedCursor?: number;
  unprocessed?: string[];
  nextUnprocessedCursor?: number;
  ignored?: Record<string, string>;
  nextIgnoredCursor?: number;
  failed?: string[];
  nextFailedCursor?: number;
}

function childrenOfJob(queue: QueueData, jobId: string): Children {
  return queue.jobs.get(jobId)?.children ?? new Children();
}

/** Returns the children that failed the parent, earliest first. */
function unsuccessfulKeys({ unsuccessful }: Children): string[] {
  return [...unsuccessful]
    .sort(([keyA, atA], [keyB, atB]) => atA - atB || (keyA < keyB ? -1 : 1))
    .map(([key]) => key);
}

/** Returns the results of a job's children as JSON texts by child key. */
export function processedValues(queue: QueueData, jobId: string): Record<string, string> {
  return Object.fromEntries(childrenOfJob(queue, jobId).processed);
}

/** Returns the failure reasons of a job's ignored children by child key. */
export function ignoredFailures(queue: QueueData, jobId: string): Record<string, string> {
  return Object.fromEntries(childrenOfJob(queue, jobId).ignored);
}

/** Returns the number of a job's children of each kind. */
export function dependencyCounts(queue: QueueData, jobId: string, types: readonly string[]): number[] {
  const { processed, pending, ignored, unsuccessful } = childrenOfJob(queue, jobId);
  return types.map((type) => {
    if (type === 'processed') return processed.size;
    if (type === 'unprocessed') return pending.size;
    return type === 'ignored' ? ignored.size : unsuccessful.size;
  });
}

/** Returns a job's children: all of them, or a page of each requested kind. */
export function dependencies(queue: QueueData, jobId: string, opts: DependenciesOpts): Dependencies {
  const children = childrenOfJob(queue, jobId);
  if (!opts.processed && !opts.unprocessed && !opts.ignored && !opts.failed) {
    return {
      processed: parsed(children.processed),
      unprocessed: [...children.pending],
      failed: unsuccessfulKeys(children),
      ignored: Object.fromEntries(children.ignored),
    };
  }
  const result: Dependencies = {};
  if (opts.processed) {
    const page = pageOf([...children.processed], opts.processed);
    result.processed = parsed(page.items);
    result.nextProcessedCursor = page.cursor;
  }
  if (opts.ignored) {
    const page = pageOf([...children.ignored], opts.ignored);
    result.ignored = Object.fromEntries(page.items);
    result.nextIgnoredCursor = page.cursor;
  }
  if (opts.failed) {
    const { cursor = 0, count = DEFAULT_COUNT } = opts.failed;
    result.failed = sliceRange(unsuccessfulKeys(children), cursor, count - 1);
    result.nextFailedCursor = cursor + count;
  }
  if (opts.unprocessed) {
    const page = pageOf([...children.pending], opts.unprocessed);
    result.unprocessed = page.items;
    result.nextUnprocessedCursor = page.cursor;
  }
  return result;
}

function parsed(values: Iterable<readonly [string, string]>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of values) result[key] = JSON.parse(value) as unknown;
  return result;
}

function isShort(item: string | readonly string[]): boolean {
  return (typeof item === 'string' ? [item] : item).every((text) => text.length <= COMPACT_BYTES);
}

function pageOf<T extends string | readonly string[]>(
  items: T[],
  { cursor = 0, count = DEFAULT_COUNT }: DependencyOpts,
): { items: T[]; cursor: number } {
  if (items.length <= COMPACT_MEMBERS && items.every(isShort)) return { items, cursor: 0 };
  const end = cursor + Math.max(count, 1);
  return { items: items.slice(cursor, end), cursor: end < items.length ? end : 0 };
}

/** The set or hash of a parent's children that a key names. */
export interface ChildCollection {
  readonly children: Children;
  readonly kind: 'dependencies' | 'processed' | 'failed' | 'unsuccessful';
}

/** Returns the collection of children that `key` names, if it exists. */
export function collectionOf(queue: QueueData, key: string): ChildCollection | undefined {
  const colon = key.lastIndexOf(':');
  const kind = key.slice(colon + 1);
  const parent: JobRecord | undefined = queue.directory.find(key.slice(0, colon))?.job;
  if (!parent?.children) return undefined;
  if (kind === 'dependencies' || kind === 'processed' || kind === 'failed' || kind === 'unsuccessful') {
    return { children: parent.children, kind };
  }
  return undefined;
}
