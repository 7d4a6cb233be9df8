/** Finding jobs that have ended, and removing them with all below them: what Umbel's workers ask for on every store. */
import type { ChildKeys, EndedJob, EndedRange, EndedSet, Removal, TreeState } from '@umbel/core/internal';
import type { JobRecord } from './job-record.js';
import type { LocatedJob, QueueData } from './queue-data.js';
import { forget } from './removal.js';

/** Jobs of one tree that are removed at once, and jobs that one command looks at, as on Redis. */
const TREE = 100;
const LOOKED_AT = 200;

export function endedJobs(
  queue: QueueData,
  set: EndedSet,
  { from, skip, until, limit }: EndedRange,
): EndedJob[] {
  const found: EndedJob[] = [];
  let left = skip;
  for (const job of queue.sorted(set)) {
    if (job.score > until || found.length >= limit) break;
    if (job.score < from) continue;
    if (left > 0) {
      left -= 1;
      continue;
    }
    const isThere = job.parentKey !== undefined && queue.directory.find(job.parentKey) !== undefined;
    found.push({
      id: job.id,
      endedAt: job.score,
      options: JSON.stringify(job.opts.values),
      parent: job.parentKey === undefined ? 'none' : isThere ? 'there' : 'gone',
    });
  }
  return found;
}

export function removeTrees(queue: QueueData, ids: readonly string[], removal: Removal): TreeState[] {
  const states: TreeState[] = [];
  let budget = LOOKED_AT;
  for (const id of ids) {
    if (budget <= 0) break;
    const job = queue.jobs.get(id);
    const { state, nodes } = job === undefined ? GONE : treeOf({ queue, job }, removal);
    states.push(state);
    budget -= Math.max(nodes.length, 1);
    if (state === 'ended' && removal.mode !== 'check')
      for (const each of nodes) remove(each, removal.isForgotten === true);
  }
  return states;
}

interface Tree {
  readonly state: TreeState;
  readonly nodes: readonly LocatedJob[];
}

const GONE: Tree = { state: 'ended', nodes: [] };

/** The job with all below it, or why they are not removed at once. */
function treeOf(root: LocatedJob, { mode, until, isForgotten = false }: Removal): Tree {
  const nodes: LocatedJob[] = [root];
  const seen: string[] = [];
  const rest: string[] = [];
  const open: string[] = [];
  for (const { queue, job } of nodes) {
    const hasEnded = job.placement === 'completed' || job.placement === 'failed';
    const isOpen = !hasEnded || job.score > until;
    if (isOpen && !isForgotten) return { state: 'open', nodes: [] };
    const keys = mode === 'job' ? [] : keysBelow(job);
    if (nodes.length + keys.length > TREE || keys.some((key) => /\.\d+!$/.test(key))) {
      rest.push(queue.keyOf(job));
      continue;
    }
    seen.push(queue.keyOf(job));
    if (isOpen) open.push(queue.keyOf(job));
    for (const key of keys) {
      const child = queue.directory.find(key);
      if (child !== undefined) nodes.push(child);
    }
  }
  return { state: open.length + rest.length > 0 ? { seen, rest, open } : 'ended', nodes };
}

function remove({ queue, job }: LocatedJob, isForgotten: boolean): void {
  const { placement = 'unknown' } = job;
  forget(queue, job);
  if (isForgotten) queue.emitTrimmed('event', 'removed', 'jobId', job.id, 'prev', placement);
}

export function childKeys(queue: QueueData, id: string): ChildKeys {
  const job = queue.jobs.get(id);
  return { keys: job === undefined ? [] : keysBelow(job) };
}

function keysBelow({ children }: JobRecord): string[] {
  if (children === undefined) return [];
  const { pending, processed, ignored, unsuccessful } = children;
  return [...pending, ...processed.keys(), ...ignored.keys(), ...unsuccessful.keys()];
}
