/**
 * This module removes an ended job with all jobs below it, in every queue: a single call, or a run with its steps, its
 * members and jobs that were added later. Retention and `forget()` use it.
 *
 * One command removes a tree of up to a hundred jobs. A larger tree is checked first if it must be removed as a whole or
 * not at all. Then it is removed from the leaves up, in slices: if a worker dies in between, the root remains, and the
 * next removal continues from it.
 */

import { isPlainObject } from '../base/text.js';
import type { JobRef } from '../job/job.js';
import { INTERNAL_QUEUE, jobIdOf } from '../job/job-tree.js';
import type { StoreAccess } from './access.js';
import { endedJobsOf } from './ended-jobs.js';
import {
  childResultsIn,
  type Removal,
  type TreePart,
  type TreeState,
  unendedJobsIn,
} from './primitives/ended-jobs.js';
import { readJob } from './read.js';
import { jobOutcomeOf } from './results.js';

/** Maximum number of job ids in one command. */
const TOGETHER = 200;
/** Number of unended jobs that are removed at the same moment. */
const OPEN_TOGETHER = 50;

export interface RemovalLimits {
  /** Remove only trees whose jobs had all ended by this time, in milliseconds since 1970. */
  readonly until: number;
  /** Returns whether to stop; the remaining jobs are removed later. */
  readonly isOver: () => boolean;
  /** Timeout of a command. Default: the timeout of other commands. */
  readonly commandMs?: number;
}

/** Removes these jobs of a queue, each with all jobs below it or not at all. Returns the ids of the removed ones. */
export async function removeEndedTrees(
  access: StoreAccess,
  queue: string,
  ids: readonly string[],
  limits: RemovalLimits,
): Promise<string[]> {
  const removed: string[] = [];
  const trees = new Trees(access, limits, false);
  for (const [id, state] of await trees.states('tree', queue, ids)) {
    if (state === 'ended') removed.push(id);
    else if (state !== 'open' && !(await trees.hasOpen(state)) && (await trees.remove(state)))
      removed.push(id);
  }
  return removed;
}

const NO_LIMITS = { until: Number.MAX_SAFE_INTEGER, isOver: () => false };

/**
 * Removes these children of a job with all jobs below them, and then their results from the job. A child stays if a job
 * below it has not ended. Repeating it after an interruption removes the rest.
 */
export async function removeEndedChildren(
  access: StoreAccess,
  parent: JobRef,
  children: readonly JobRef[],
): Promise<void> {
  const keys: string[] = [];
  for (const [queue, ids] of byQueue(children)) {
    const removed = await removeEndedTrees(access, queue, ids, NO_LIMITS);
    for (const id of removed) keys.push(`${access.backends.qualifiedName(queue)}:${id}`);
  }
  if (keys.length === 0) return;
  await access.on(parent.queue, async (bull) => {
    await childResultsIn(bull.getBackend())?.removeChildResults(parent.id, keys);
  });
}

/**
 * Removes a job and all jobs below it, ended or not. Running jobs stay, and expire like any other job. Returns false if
 * this call did not remove the job itself.
 */
export async function removeTree(access: StoreAccess, place: JobRef): Promise<boolean> {
  const limits = { until: Number.MAX_SAFE_INTEGER, isOver: () => false };
  await new Trees(access, limits, true).removeBelow(place);
  return removeUnended(access, place);
}

interface Entry {
  readonly place: JobRef;
  /** Whether the jobs below it are above it on the stack or removed. */
  readonly isCleared: boolean;
}

/** Checks and removes large trees. A long chain is a deep tree, so nothing here is recursive. */
class Trees {
  readonly #access: StoreAccess;
  readonly #limits: RemovalLimits;
  readonly #isForgotten: boolean;

  constructor(access: StoreAccess, limits: RemovalLimits, isForgotten: boolean) {
    this.#access = access;
    this.#limits = limits;
    this.#isForgotten = isForgotten;
  }

  /** Returns whether one of the jobs that were not checked yet has not ended, or not long enough ago. */
  async hasOpen(tree: TreePart): Promise<boolean> {
    const next = this.#places(tree.rest);
    for (let place = next.pop(); place !== undefined; place = next.pop()) {
      if (this.#limits.isOver()) return true;
      const state = await this.#state('check', place);
      if (state === 'open') return true;
      if (state === 'ended') continue;
      if (!isWide(state)) next.push(...this.#places(state.rest));
      else
        for await (const below of this.#statesBelow('check', place)) {
          if (below === 'open') return true;
          if (below !== 'ended') next.push(...this.#places(below.rest));
        }
    }
    return false;
  }

  async removeBelow(place: JobRef): Promise<void> {
    for await (const state of this.#statesBelow('tree', place))
      if (typeof state !== 'string') await this.remove(state);
  }

  /** Removes the tree from its leaves up. Returns false if it was interrupted, or a job was queued again in the meantime. */
  async remove(tree: TreePart): Promise<boolean> {
    const stack: Entry[] = [];
    const push = async ({ seen, rest, open }: TreePart) => {
      // From the root down: removing the last child that a job waits for would start that job.
      for (let start = 0; start < open.length; start += OPEN_TOGETHER)
        await this.#removeInOrder(open.slice(start, start + OPEN_TOGETHER));
      const unended = new Set(open);
      const ended = seen.filter((key) => !unended.has(key));
      for (const place of this.#places(ended)) stack.push({ place, isCleared: true });
      for (const place of this.#places(rest)) stack.push({ place, isCleared: false });
    };
    await push(tree);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (this.#limits.isOver()) return false;
      if (top.isCleared) {
        if (!(await this.#removeEach(takeCleared(stack)))) return false;
        continue;
      }
      stack.pop();
      const { place } = top;
      const state = await this.#state('tree', place);
      if (state === 'open') return false;
      if (state === 'ended') continue;
      if (!isWide(state)) await push(state);
      else {
        stack.push({ place, isCleared: true });
        for await (const below of this.#statesBelow('tree', place)) {
          if (below === 'open') return false;
          if (below !== 'ended') await push(below);
        }
      }
    }
    return true;
  }

  /** Removes jobs that have not ended, each after those before it. */
  async #removeInOrder(keys: readonly string[]): Promise<void> {
    const places = this.#places(keys);
    const [first] = places;
    if (first === undefined) return;
    const isRemoved = await this.#access.on(first.queue, async (bull) => {
      const unended = unendedJobsIn(bull.getBackend());
      await unended?.removeUnended(keys);
      return unended !== undefined;
    });
    if (!isRemoved) await Promise.all(places.map((place) => removeUnended(this.#access, place)));
  }

  async states(
    mode: Removal['mode'],
    queue: string,
    ids: readonly string[],
  ): Promise<Map<string, TreeState>> {
    const removal: Removal = { mode, until: this.#limits.until, isForgotten: this.#isForgotten };
    const states = new Map<string, TreeState>();
    for (let start = 0; start < ids.length; ) {
      const some = ids.slice(start, start + TOGETHER);
      const answer = await this.#access.on(
        queue,
        (bull) => endedJobsOf(bull.getBackend()).removeTrees(some, removal),
        this.#limits.commandMs,
      );
      for (const [index, state] of answer.entries()) states.set(some[index] ?? '', state);
      start += Math.max(answer.length, 1);
    }
    return states;
  }

  /** Yields the state of each child of a job, with all jobs below it. */
  async *#statesBelow(mode: Removal['mode'], place: JobRef): AsyncGenerator<TreeState> {
    for await (const [queue, ids] of childrenByQueue(this.#access, place, this.#limits))
      yield* (await this.states(mode, queue, ids)).values();
  }

  async #state(mode: Removal['mode'], { queue, id }: JobRef): Promise<TreeState> {
    return (await this.states(mode, queue, [id])).get(id) ?? 'ended';
  }

  /** Removes these jobs without the jobs below them. Returns false if one of them must stay. */
  async #removeEach(places: readonly JobRef[]): Promise<boolean> {
    for (const [queue, ids] of byQueue(places)) {
      for (const [id, state] of await this.states('job', queue, ids)) {
        if (state === 'ended') continue;
        if (!this.#isForgotten) return false;
        await removeUnended(this.#access, { queue, id });
      }
    }
    return true;
  }

  #places(keys: readonly string[]): JobRef[] {
    return keys.map((key) => this.#access.placeOf(key));
  }
}

/** Returns whether the answer is for a job with too many children for one command. */
function isWide({ seen }: TreePart): boolean {
  return seen.length === 0;
}

/** Pops cleared jobs from the top of the stack: several at once, but the root alone, as the last one. */
function takeCleared(stack: Entry[]): JobRef[] {
  const popped: JobRef[] = [];
  while (popped.length < TOGETHER && stack.at(-1)?.isCleared && (stack.length > 1 || popped.length === 0)) {
    const { place } = stack.pop() as Entry; // `at(-1)` is defined here
    popped.push(place);
  }
  return popped;
}

/** Returns the ids of jobs by queue. */
function byQueue(places: readonly JobRef[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { queue, id } of places) {
    const ids = found.get(queue) ?? [];
    if (ids.length === 0) found.set(queue, ids);
    ids.push(id);
  }
  return found;
}

/** Removes a job in any state as BullMQ does. A running job stays. */
async function removeUnended(access: StoreAccess, { queue, id }: JobRef): Promise<boolean> {
  return access.on(queue, async (bull) => {
    if ((await bull.getJobState(id)) === 'active') return false;
    return (await bull.remove(id, { removeChildren: false })) > 0;
  });
}

/** Yields the ids of the children of a job, page by page, grouped by queue. */
async function* childrenByQueue(
  access: StoreAccess,
  place: JobRef,
  { commandMs }: RemovalLimits,
): AsyncGenerator<[queue: string, ids: readonly string[]]> {
  const probes = new Set<string>();
  let page: string | undefined;
  do {
    const from = page;
    const { keys, next } = await access.on(
      place.queue,
      (bull) => endedJobsOf(bull.getBackend()).childKeys(place.id, from),
      commandMs,
    );
    page = next;
    const places = keys.map((key) => access.placeOf(key));
    for (const { queue, id } of places) if (isProbe(queue, id)) probes.add(id);
    yield* byQueue(places);
  } while (page !== undefined);
  if (probes.size === 0) return;
  const probeIds = await detachedProbes(access, place, probes);
  for (let start = 0; start < probeIds.length; start += TOGETHER)
    yield [INTERNAL_QUEUE, probeIds.slice(start, start + TOGETHER)];
}

function isProbe(queue: string, id: string): boolean {
  return queue === INTERNAL_QUEUE && /\.\d+!$/.test(id);
}

/** Maximum number of members to look for: the stored count may be any number. */
const MAX_PROBES = 1_000_000;

/** Returns the ids of probes that a join detached once it had enough; it no longer lists them (see `workflow/join.ts`). */
async function detachedProbes(
  access: StoreAccess,
  place: JobRef,
  known: ReadonlySet<string>,
): Promise<string[]> {
  const { after, run = place.id } = (await readJob(access, place))?.envelope ?? {};
  if (after === undefined || !('list' in after)) return [];
  const { list, via } = after;
  const count = after.count ?? (via === undefined ? 0 : await countAdded(access, jobIdOf(run, via)));
  const most = Math.min(Number.isSafeInteger(count) ? count : 0, MAX_PROBES);
  const left: string[] = [];
  for (let index = 0; index < most; index += 1) {
    const probe = jobIdOf(run, `${list}.${index}!`);
    if (!known.has(probe)) left.push(probe);
  }
  return left;
}

/** Returns the number of members that a fan-out has added. */
async function countAdded(access: StoreAccess, id: string): Promise<number> {
  const outcome = await jobOutcomeOf(access, { queue: INTERNAL_QUEUE, id });
  return outcome.kind === 'completed' && isPlainObject(outcome.value) ? Number(outcome.value.count) : 0;
}
