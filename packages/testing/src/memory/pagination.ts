import type { JobJson } from 'bullmq';
import { collectionOf } from './dependencies.js';
import { missingJobJson, toJobJson } from './job-json.js';
import type { QueueData } from './queue-data.js';

/** A page of a parent's children. */
export interface Page {
  cursor: string;
  items: { id: string; v?: unknown; err?: string }[];
  total: number;
  jobs?: JobJson[];
}

/** The children from `start` to `end`, both included, that `key` names; -1 ends at the last one. */
export function paginate(
  queue: QueueData,
  key: string,
  opts: { start: number; end: number; fetchJobs?: boolean },
): Page {
  const found = collectionOf(queue, key);
  if (!found) return { cursor: '0', items: [], total: 0, jobs: [] };
  const { children, kind } = found;
  if (kind === 'unsuccessful') throw new Error('Pagination is only supported for sets and hashes.');
  const values = kind === 'processed' ? children.processed : kind === 'failed' ? children.ignored : undefined;
  const keys = [...(values ?? children.pending).keys()];
  const page = keys.slice(opts.start, opts.end === -1 ? undefined : opts.end + 1);
  return {
    cursor: '0',
    items: page.map((id) => (values ? { id, ...parse(values.get(id) ?? 'null') } : { id })),
    total: keys.length,
    jobs: opts.fetchJobs ? jobsOf(queue, page) : [],
  };
}

function jobsOf(queue: QueueData, keys: readonly string[]): JobJson[] {
  return keys.map((key) => {
    const child = queue.directory.find(key);
    return child ? toJobJson(child.job) : missingJobJson();
  });
}

function parse(text: string): { v: unknown } | { err: string } {
  try {
    return { v: JSON.parse(text) as unknown };
  } catch (error) {
    return { err: error instanceof Error ? error.message : String(error) };
  }
}
