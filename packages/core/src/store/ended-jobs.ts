/**
 * This module returns the commands that find ended jobs and remove them with all jobs below them. Redis and the memory
 * store implement them as single commands (`primitives/ended-jobs.ts`); for every other store this module builds them
 * from BullMQ's contract.
 */
import type { IQueueBackend } from 'bullmq';
import {
  type ChildKeys,
  type EndedJob,
  type EndedJobs,
  type EndedRange,
  type EndedSet,
  endedJobsIn,
  type Removal,
  type TreeState,
} from './primitives/ended-jobs.js';

export function endedJobsOf(backend: IQueueBackend): EndedJobs {
  return endedJobsIn(backend) ?? new ContractEndedJobs(backend);
}

/** Number of children that one command reads. */
const PAGE = 500;

/** Implementation without scripts: trees are removed job by job, and each job at the front of its set is read. */
class ContractEndedJobs implements EndedJobs {
  readonly #backend: IQueueBackend;

  constructor(backend: IQueueBackend) {
    this.#backend = backend;
  }

  async endedJobs(set: EndedSet, { from, skip, until, limit }: EndedRange): Promise<EndedJob[]> {
    const found: EndedJob[] = [];
    let toSkip = skip;
    for (let index = await this.#firstFrom(set, from); ; index += PAGE) {
      const ids = (await this.#backend.getRanges([set], index, index + PAGE - 1, true)).flat();
      for (const id of ids) {
        const job = await this.#read(id, found.at(-1)?.endedAt ?? from);
        if (job.endedAt > until || found.length >= limit) return found;
        if (job.endedAt === from && toSkip > 0) toSkip -= 1;
        else found.push(job);
      }
      if (ids.length < PAGE) return found;
    }
  }

  async removeTrees(ids: readonly string[], removal: Removal): Promise<TreeState[]> {
    const states: TreeState[] = [];
    for (const id of ids) states.push(await this.#removeTree(id, removal));
    return states;
  }

  async #removeTree(id: string, { mode, until, isForgotten }: Removal): Promise<TreeState> {
    const state = await this.#backend.getState(id);
    if (state === 'unknown') return 'ended';
    const hasEnded = state === 'completed' || state === 'failed';
    const isOpen = !hasEnded || (await this.#read(id, 0)).endedAt > until;
    if (isOpen && !isForgotten) return 'open';
    const key = `${this.#backend.qualifiedName}:${id}`;
    if (mode !== 'job' && (await this.#hasChildren(id))) return { seen: [], rest: [key], open: [] };
    if (isOpen) return { seen: [key], rest: [], open: [key] };
    if (mode !== 'check') await this.#backend.remove(id, false);
    return 'ended';
  }

  async childKeys(id: string, page = '0 0'): Promise<ChildKeys> {
    const [part = 0, cursor = 0] = page.split(' ').map(Number);
    const kind = (['unprocessed', 'processed', 'ignored', 'failed'] as const)[part] ?? 'failed';
    const found = await this.#backend.getDependencies(id, { [kind]: { cursor, count: PAGE } });
    const children = found[kind] ?? [];
    const keys = Array.isArray(children) ? children : Object.keys(children);
    const more = {
      unprocessed: found.nextUnprocessedCursor,
      processed: found.nextProcessedCursor,
      ignored: found.nextIgnoredCursor,
      failed: 0, // no job of Umbel fails its parent
    }[kind];
    const next = Number(more ?? 0);
    if (next !== 0) return { keys, next: `${part} ${next}` };
    return { keys, ...(kind !== 'failed' && { next: `${part + 1} 0` }) };
  }

  async #hasChildren(id: string): Promise<boolean> {
    const kinds = ['unprocessed', 'processed', 'ignored', 'failed'] as const;
    const counts = await this.#backend.getDependencyCounts(id, [...kinds]);
    return counts.some((count) => count > 0);
  }

  /** Returns the index of the first job that ended at `from` or later. */
  async #firstFrom(set: EndedSet, from: number): Promise<number> {
    let low = 0;
    let [high = 0] = from > 0 ? await this.#backend.getCounts([set]) : [];
    while (low < high) {
      const middle = (low + high) >> 1;
      const [id = ''] = (await this.#backend.getRanges([set], middle, middle, true)).flat();
      const { endedAt } = await this.#read(id, from);
      if (endedAt < from) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Reads a job. One without a record gets the end time of its neighbour. */
  async #read(id: string, neighbour: number): Promise<EndedJob> {
    const job = await this.#backend.getJobData(id);
    if (job === undefined || job === null) return { id, endedAt: neighbour, options: '', parent: 'none' };
    const { finishedOn = neighbour, opts, parentKey } = job;
    const options = typeof opts === 'string' ? opts : JSON.stringify(opts ?? {});
    if (!parentKey) return { id, endedAt: finishedOn, options, parent: 'none' };
    const { prefix, queueName, id: parentId } = this.#backend.parseNodeKey(parentKey);
    const state = await this.#backend.forQueue(queueName, prefix).getState(parentId);
    return { id, endedAt: finishedOn, options, parent: state === 'unknown' ? 'gone' : 'there' };
  }
}
