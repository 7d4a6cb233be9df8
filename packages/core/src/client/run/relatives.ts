/** This module classifies the children of a job of a run by their paths (`job/ids.ts`), and finds neighbouring tasks. */

import { isPlainObject } from '../../base/text.js';
import type { Envelope } from '../../job/envelope.js';
import { pathOf, turnAt, turnIn } from '../../job/ids.js';
import type { JobRef } from '../../job/job.js';
import { INTERNAL_JOB, INTERNAL_QUEUE, jobIdOf, type Source } from '../../job/job-tree.js';
import { isPassedOn } from '../../job/marks.js';
import { isSize } from '../../job/tree-checks.js';
import { childPlaces, isHeld, parentOf, readJob } from '../../store/read.js';
import { jobOutcomeOf } from '../../store/results.js';
import type { Store } from '../../store/store.js';
import type { ChildPlace } from '../../store/tree.js';
import { hasEnded } from '../../workflow/graph-parts.js';

export interface ClassifiedChildren {
  /** Jobs that have added other children, or will. */
  readonly fanOuts: readonly ChildPlace[];
  /** Prefix of the ids of the members, if the job waits for a group. */
  readonly list: string | undefined;
  /** Members of that group, or their probes. */
  readonly members: readonly ChildPlace[];
  /** Jobs that each hold a slice of the members. */
  readonly slices: readonly ChildPlace[];
  /** The second step of a fallback. */
  readonly other: ChildPlace | undefined;
  /** The replacement that a handler has stored. */
  readonly replacement: ChildPlace | undefined;
  /** The last turn of a loop, and the step that decides after it. */
  readonly turn: ChildPlace | undefined;
  readonly test: ChildPlace | undefined;
  readonly steps: readonly ChildPlace[];
}

type Content = Partial<Envelope>;

/** Classifies the children of a job in a state. @param read Reads the children. */
export async function classifyChildren(
  store: Store,
  place: JobRef,
  state: string,
  envelope: Content,
  read: () => Promise<ChildPlace[]>,
): Promise<ClassifiedChildren> {
  const { after, replacement, expand, run = place.id } = envelope;
  const path = pathOf(run, place.id);
  const begun = envelope.turns?.begun;
  const hasChildren = after !== undefined || replacement !== undefined || begun !== undefined;
  const children = hasChildren ? await listed(read) : [];
  const detached = hasEnded(state) ? await detachedMembers(store, run, envelope, children) : [];
  const list = listOf(run, after);
  const otherPath = expand !== undefined && 'members' in expand ? expand.members[0]?.path : undefined;
  const classified = {
    fanOuts: [] as ChildPlace[],
    list,
    members: [] as ChildPlace[],
    slices: [] as ChildPlace[],
    other: undefined as ChildPlace | undefined,
    replacement: undefined as ChildPlace | undefined,
    turn: undefined as ChildPlace | undefined,
    test: undefined as ChildPlace | undefined,
    steps: [] as ChildPlace[],
  };
  for (const child of sortedByPath([...children, ...detached])) {
    const childPath = pathOf(run, child.id);
    const inList = list !== undefined && child.id.startsWith(list) ? child.id.slice(list.length) : '';
    const isInternal = child.queue === INTERNAL_QUEUE;
    if (childPath.startsWith(`${path}!`)) continue; // a probe that only woke the job
    const turn = begun === undefined ? undefined : turnIn(path, childPath);
    if (turn !== undefined) {
      if (turn !== begun) continue; // an earlier turn
      if (childPath === turnAt(path, turn)) classified.turn = child;
      else classified.test = child;
    } else if (childPath === replacement?.path) classified.replacement = child;
    else if (childPath.startsWith(`${path}~`))
      continue; // a replacement from before a replay
    else if (childPath === otherPath) classified.other = child;
    else if (isInternal && /^\/\d+$/.test(inList)) classified.slices.push(child);
    else if (/^\.\d+!?$/.test(inList)) classified.members.push(child);
    else if (isFanOut(child)) classified.fanOuts.push(child);
    else classified.steps.push(child);
  }
  return classified;
}

/** Lists the children, including all that a fan-out among them has added. */
async function listed(read: () => Promise<ChildPlace[]>): Promise<ChildPlace[]> {
  const children = await read();
  // A fan-out may have added them and ended while the list was read.
  const hasEndedFanOut = children.some((child) => child.kind === 'processed' && isFanOut(child));
  return hasEndedFanOut ? read() : children;
}

function isFanOut({ queue, id }: JobRef): boolean {
  return queue === INTERNAL_QUEUE && /-(fan\d*|in)$/.test(id);
}

/** Returns the id of the fan-out that has added a child, according to their ids. */
export function adderOf(id: string, { list, fanOuts }: ClassifiedChildren): string | undefined {
  const isMember = list !== undefined && (id.startsWith(`${list}.`) || id.startsWith(`${list}/`));
  const adder = isMember ? `${list}-fan` : id.replace(/\^t$/, '-in').replace(/\^$/, '-fan');
  return fanOuts.some((fanOut) => fanOut.id === adder) ? adder : undefined;
}

/** Maximum number of members to list from an unverified stored count, and in total. */
const DETACHED = { believed: 10_000, max: 1_000_000 };

/** Returns the members that a join detached once it had enough. */
async function detachedMembers(
  store: Store,
  run: string,
  { after, join }: Content,
  children: readonly ChildPlace[],
): Promise<ChildPlace[]> {
  if (join?.need === undefined || after === undefined || !('list' in after)) return [];
  const there = new Set(children.map(({ id }) => id));
  const count = after.count ?? (await streamedOf(store, run, after)).count ?? 0;
  const idAt = (index: number) => jobIdOf(run, `${after.list}.${index}!`);
  const most = Math.min(count, DETACHED.max);
  const areThere =
    most <= DETACHED.believed || (await isHeld(store, { queue: INTERNAL_QUEUE, id: idAt(most - 1) }));
  const length = areThere ? most : DETACHED.believed;
  return Array.from({ length }, (_, index) => idAt(index))
    .filter((id) => !there.has(id))
    .map((id) => ({ id, queue: INTERNAL_QUEUE, kind: 'unprocessed' }));
}

/** Returns the size of a group from the result of the job that adds the members. */
export async function streamedOf(
  store: Store,
  run: string,
  { via }: Source,
): Promise<{ readonly count?: number; readonly sliced?: boolean }> {
  const outcome =
    via === undefined
      ? undefined
      : await jobOutcomeOf(store, { queue: INTERNAL_QUEUE, id: jobIdOf(run, via) });
  const result = outcome?.kind === 'completed' && isPlainObject(outcome.value) ? outcome.value : {};
  return {
    ...(isSize(result.count) && { count: Number(result.count) }),
    ...(result.sliced === true && { sliced: true }),
  };
}

/** Returns the prefix of the ids of the members that a job waits for. */
function listOf(run: string, source: Source | undefined): string | undefined {
  if (source === undefined || 'step' in source) return undefined;
  return jobIdOf(run, 'list' in source ? source.list : source.record);
}

/** Returns jobs in the order of their paths, numbers numerically. */
export function sortedByPath<Place extends { readonly id: string }>(places: readonly Place[]): Place[] {
  const split = places.map((place) => ({ place, parts: place.id.split(/(\d+)/) }));
  return split.sort((one, other) => comparePaths(one.parts, other.parts)).map(({ place }) => place);
}

/** Compares paths, which are split at their numbers. */
function comparePaths(parts: readonly string[], others: readonly string[]): number {
  for (const [index, part] of parts.entries()) {
    const next = others[index];
    if (next === undefined) return 1;
    if (part === next) continue;
    return index % 2 === 1 ? Number(part) - Number(next) : part < next ? -1 : 1;
  }
  return parts.length - others.length;
}

// Neighbouring tasks in a run, across internal jobs.

/** Returns the tasks that a job waited for, up to `limit`. */
export async function tasksBefore(store: Store, place: JobRef, limit: number): Promise<JobRef[]> {
  const found: JobRef[] = [];
  const visit = async (from: JobRef): Promise<void> => {
    for (const child of sortedByPath(await childPlaces(store, from))) {
      if (found.length >= limit) return;
      if (child.queue !== INTERNAL_QUEUE) found.push(child);
      else if (await isPassage(store, child)) await visit(child);
    }
  };
  await visit(place);
  return found;
}

/** Returns the task that waits for a job, or its run; undefined if none does. */
export async function taskAfter(store: Store, place: JobRef, run: string): Promise<JobRef | undefined> {
  let last = place;
  for (;;) {
    const parent = await parentOf(store, last);
    if (parent === undefined) break;
    if (parent.queue !== INTERNAL_QUEUE) return parent;
    last = parent;
  }
  return last === place ? undefined : { queue: INTERNAL_QUEUE, id: run };
}

/** Returns whether the tasks before an internal job also precede the job after it. */
async function isPassage(store: Store, { queue, id }: JobRef): Promise<boolean> {
  const job = await readJob(store, { queue, id });
  if (job?.name !== INTERNAL_JOB.fanOut) return job !== undefined;
  const outcome = await jobOutcomeOf(store, { queue, id });
  if (outcome.kind !== 'completed') return false;
  // Otherwise the added jobs are between them.
  return isPassedOn(outcome.value) || (isPlainObject(outcome.value) && outcome.value.count === 0);
}
