/**
 * Removes a job that has ended with all that stands below it: a single call, or a run with its steps, members, and what
 * was added to it, in every queue.
 *
 * A tree of up to a hundred jobs goes in one command. A larger one is looked through first, and then removed from the
 * other end, in slices: a worker that dies in between has left the root, by which the next one goes on.
 */

import { isPlainObject } from '../base/text.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, jobIdOf } from '../job/job-tree.js';
import { endedJobsOf } from './ended-jobs.js';
import type { Removal, TreeState } from './primitives/ended-jobs.js';
import type { Store } from './store.js';

/** Jobs that are named in one command. */
const TOGETHER = 200;

export interface RemovalLimits {
  /** Only trees all of whose jobs had ended by then, in milliseconds since 1970. */
  readonly until: number;
  /** Whether to leave off: what is there still is removed another time. */
  readonly isOver: () => boolean;
  /** How long the store may take for a command. */
  readonly commandMs: number;
}

/** Removes each of these jobs of a queue with all below it, as a whole or not at all. Gives the ids of those that are gone. */
export async function removeEndedTrees(
  store: Store,
  queue: string,
  ids: readonly string[],
  limits: RemovalLimits,
): Promise<string[]> {
  const removed: string[] = [];
  for (const [id, state] of await treeStates(store, queue, ids, { ...limits, mode: 'tree' })) {
    const isLarge = state === 'large';
    if (isLarge ? await removeLarge(store, { queue, id }, limits) : state === 'ended') removed.push(id);
  }
  return removed;
}

async function removeLarge(store: Store, root: JobRef, limits: RemovalLimits): Promise<boolean> {
  if (await hasOpen(store, root, limits)) return false;
  // A long chain is a deep tree, so this does not call itself.
  const stack: { readonly place: JobRef; isCleared: boolean }[] = [{ place: root, isCleared: false }];
  for (let next = stack.at(-1); next !== undefined; next = stack.at(-1)) {
    if (limits.isOver()) return false;
    const { place } = next;
    if (next.isCleared) {
      stack.pop();
      const states = await treeStates(store, place.queue, [place.id], { ...limits, mode: 'job' });
      if (states.get(place.id) === 'open') return false; // it was queued again meanwhile
      continue;
    }
    next.isCleared = true;
    for await (const [queue, ids] of childrenByQueue(store, place, limits)) {
      const states = await treeStates(store, queue, ids, { ...limits, mode: 'tree' });
      for (const [id, state] of states)
        if (state === 'large') stack.push({ place: { queue, id }, isCleared: false });
    }
  }
  return true;
}

/** Whether a job below this one has not ended, or not long enough ago. */
async function hasOpen(store: Store, root: JobRef, limits: RemovalLimits): Promise<boolean> {
  const next = [root];
  for (let place = next.pop(); place !== undefined; place = next.pop()) {
    if (limits.isOver()) return true;
    for await (const [queue, ids] of childrenByQueue(store, place, limits)) {
      for (const [id, state] of await treeStates(store, queue, ids, { ...limits, mode: 'check' })) {
        if (state === 'open') return true;
        if (state === 'large') next.push({ queue, id });
      }
    }
  }
  return false;
}

async function treeStates(
  store: Store,
  queue: string,
  ids: readonly string[],
  { mode, until, commandMs }: Removal & RemovalLimits,
): Promise<Map<string, TreeState>> {
  const states = new Map<string, TreeState>();
  for (let start = 0; start < ids.length; ) {
    const some = ids.slice(start, start + TOGETHER);
    const answer = await store.on(
      queue,
      (bull) => endedJobsOf(bull.getBackend()).removeTrees(some, { mode, until }),
      commandMs,
    );
    for (const [index, state] of answer.entries()) states.set(some[index] ?? '', state);
    start += Math.max(answer.length, 1);
  }
  return states;
}

/** The ids of the children of a job, page by page, those of each queue together. */
async function* childrenByQueue(
  store: Store,
  place: JobRef,
  { commandMs }: RemovalLimits,
): AsyncGenerator<[queue: string, ids: readonly string[]]> {
  const probes = new Set<string>();
  let page: string | undefined;
  do {
    const from = page;
    const { keys, next } = await store.on(
      place.queue,
      (bull) => endedJobsOf(bull.getBackend()).childKeys(place.id, from),
      commandMs,
    );
    page = next;
    const found = new Map<string, string[]>();
    for (const { queue, id } of keys.map((key) => store.placeOf(key))) {
      const ids = found.get(queue) ?? [];
      if (ids.length === 0) found.set(queue, ids);
      ids.push(id);
      if (isProbe(queue, id)) probes.add(id);
    }
    yield* found;
  } while (page !== undefined);
  if (probes.size === 0) return;
  const left = await probesLeft(store, place, probes);
  for (let start = 0; start < left.length; start += TOGETHER)
    yield [INTERNAL_QUEUE, left.slice(start, start + TOGETHER)];
}

function isProbe(queue: string, id: string): boolean {
  return queue === INTERNAL_QUEUE && /\.\d+!$/.test(id);
}

/** Members that are looked for at most; the store may say that there are any number. */
const MAX_LEFT = 1_000_000;

/** The probes that a join has let go once it had enough: it does not know them any more, see `workflow/join.ts`. */
async function probesLeft(
  store: Store,
  { queue, id }: JobRef,
  known: ReadonlySet<string>,
): Promise<string[]> {
  const { after, run = id } = (await store.job(queue, id))?.envelope ?? {};
  if (after === undefined || !('list' in after)) return [];
  const { list, via } = after;
  const count = after.count ?? (via === undefined ? 0 : await countAdded(store, jobIdOf(run, via)));
  const most = Math.min(Number.isSafeInteger(count) ? count : 0, MAX_LEFT);
  const left: string[] = [];
  for (let index = 0; index < most; index += 1) {
    const probe = jobIdOf(run, `${list}.${index}!`);
    if (!known.has(probe)) left.push(probe);
  }
  return left;
}

/** How many members a fan-out has added. */
async function countAdded(store: Store, id: string): Promise<number> {
  const outcome = await store.outcome(INTERNAL_QUEUE, id);
  return outcome.kind === 'completed' && isPlainObject(outcome.value) ? Number(outcome.value.count) : 0;
}
