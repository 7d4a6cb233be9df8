/** Finding jobs that have ended, and removing them with all below them: what Umbel's workers ask for on every store. */
import type { ChildKeys, EndedJob, EndedRange, EndedSet, Removal, TreeState } from '@umbel/core/internal';
import type { JobRecord } from './job-record.js';
import type { QueueData } from './queue-data.js';
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

export function removeTrees(queue: QueueData, ids: readonly string[], { mode, until }: Removal): TreeState[] {
  const states: TreeState[] = [];
  let budget = LOOKED_AT;
  for (const id of ids) {
    if (budget <= 0) break;
    const job = queue.jobs.get(id);
    const tree = job === undefined ? [] : treeOf(queue, job, until, mode !== 'job');
    states.push(Array.isArray(tree) ? 'ended' : tree);
    budget -= Array.isArray(tree) ? Math.max(tree.length, 1) : tree === 'large' ? TREE : 1;
    if (Array.isArray(tree) && mode !== 'check') for (const each of tree) forget(each.queue, each.job);
  }
  return states;
}

interface Located {
  readonly queue: QueueData;
  readonly job: JobRecord;
}

/** The job with all below it, or why they are not removed at once. */
function treeOf(
  queue: QueueData,
  root: JobRecord,
  until: number,
  withChildren: boolean,
): Located[] | 'open' | 'large' {
  const tree: Located[] = [{ queue, job: root }];
  for (const { job } of tree) {
    const hasEnded = job.placement === 'completed' || job.placement === 'failed';
    if (!hasEnded || job.score > until) return 'open';
    const keys = withChildren ? keysBelow(job) : [];
    if (tree.length + keys.length > TREE) return 'large';
    for (const key of keys) {
      if (/\.\d+!$/.test(key)) return 'large';
      const child = queue.directory.find(key);
      if (child !== undefined) tree.push(child);
    }
  }
  return tree;
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
