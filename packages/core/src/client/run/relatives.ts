/** The jobs that a job of a run waits for, told apart by their paths; see `flow/path.ts`. */

import { isPlainObject } from '../../base/text.js';
import type { Envelope } from '../../job/envelope.js';
import { pathOf } from '../../job/ids.js';
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
  /** Jobs that have added others of these, or will. */
  readonly fanOuts: readonly ChildPlace[];
  /** The id before those of the members, if the job waits for a group. */
  readonly list: string | undefined;
  /** Members of that group, or the jobs that look at them. */
  readonly members: readonly ChildPlace[];
  /** Jobs that have a slice of the members each. */
  readonly slices: readonly ChildPlace[];
  /** The step that runs since another one has failed. */
  readonly other: ChildPlace | undefined;
  /** What a handler has put in the job's place. */
  readonly replacement: ChildPlace | undefined;
  readonly steps: readonly ChildPlace[];
}

type Content = Partial<Envelope>;

/** The children of a job that is in this state. */
export async function classifyChildren(
  store: Store,
  place: JobRef,
  state: string,
  envelope: Content,
): Promise<ClassifiedChildren> {
  const { after, replacement, expand, run = place.id } = envelope;
  const path = pathOf(run, place.id);
  const children = after === undefined && replacement === undefined ? [] : await listed(store, place);
  const left = hasEnded(state) ? await leftMembers(store, run, envelope, children) : [];
  const list = listOf(run, after);
  const otherPath = expand !== undefined && 'members' in expand ? expand.members[0]?.path : undefined;
  const kin = {
    fanOuts: [] as ChildPlace[],
    list,
    members: [] as ChildPlace[],
    slices: [] as ChildPlace[],
    other: undefined as ChildPlace | undefined,
    replacement: undefined as ChildPlace | undefined,
    steps: [] as ChildPlace[],
  };
  for (const child of [...children, ...left].sort(byPath)) {
    const own = pathOf(run, child.id);
    const inList = list !== undefined && child.id.startsWith(list) ? child.id.slice(list.length) : '';
    const isInternal = child.queue === INTERNAL_QUEUE;
    if (own.startsWith(`${path}!`)) continue; // it has only woken the job
    if (own === replacement?.path) kin.replacement = child;
    else if (own.startsWith(`${path}~`))
      continue; // it stood there before the job was replayed
    else if (own === otherPath) kin.other = child;
    else if (isInternal && /^\/\d+$/.test(inList)) kin.slices.push(child);
    else if (/^\.\d+!?$/.test(inList)) kin.members.push(child);
    else if (isFanOut(child)) kin.fanOuts.push(child);
    else kin.steps.push(child);
  }
  return kin;
}

/** The children: where one of them has added others, with all of those. */
async function listed(store: Store, place: JobRef): Promise<ChildPlace[]> {
  const children = await childPlaces(store, place);
  // It may have added them, and ended, while the list was read.
  const isTold = children.some((child) => child.kind === 'processed' && isFanOut(child));
  return isTold ? childPlaces(store, place) : children;
}

function isFanOut({ queue, id }: JobRef): boolean {
  return queue === INTERNAL_QUEUE && /-(fan\d*|in)$/.test(id);
}

/** The id of the child that has added another one, going by their ids. */
export function adderOf(id: string, { list, fanOuts }: ClassifiedChildren): string | undefined {
  const isMember = list !== undefined && (id.startsWith(`${list}.`) || id.startsWith(`${list}/`));
  const adder = isMember ? `${list}-fan` : id.replace(/\^t$/, '-in').replace(/\^$/, '-fan');
  return fanOuts.some((fanOut) => fanOut.id === adder) ? adder : undefined;
}

/** So many are listed on the word of stored data alone, and at most. */
const LEFT = { believed: 10_000, max: 1_000_000 };

/** Members that a join with a rule of its own has left behind once it had enough. */
async function leftMembers(
  store: Store,
  run: string,
  { after, join }: Content,
  children: readonly ChildPlace[],
): Promise<ChildPlace[]> {
  if (join?.need === undefined || after === undefined || !('list' in after)) return [];
  const there = new Set(children.map(({ id }) => id));
  const count = after.count ?? (await streamedOf(store, run, after)).count ?? 0;
  const idAt = (index: number) => jobIdOf(run, `${after.list}.${index}!`);
  const most = Math.min(count, LEFT.max);
  const areThere =
    most <= LEFT.believed || (await isHeld(store, { queue: INTERNAL_QUEUE, id: idAt(most - 1) }));
  const length = areThere ? most : LEFT.believed;
  return Array.from({ length }, (_, index) => idAt(index))
    .filter((id) => !there.has(id))
    .map((id) => ({ id, queue: INTERNAL_QUEUE, kind: 'unprocessed' }));
}

/** What the job that adds the members has told about them. */
export async function streamedOf(
  store: Store,
  run: string,
  { via }: Source,
): Promise<{ readonly count?: number; readonly sliced?: boolean }> {
  const outcome =
    via === undefined
      ? undefined
      : await jobOutcomeOf(store, { queue: INTERNAL_QUEUE, id: jobIdOf(run, via) });
  const told = outcome?.kind === 'completed' && isPlainObject(outcome.value) ? outcome.value : {};
  return {
    ...(isSize(told.count) && { count: Number(told.count) }),
    ...(told.sliced === true && { sliced: true }),
  };
}

/** The id before those of the members that a job waits for. */
function listOf(run: string, source: Source | undefined): string | undefined {
  if (source === undefined || 'step' in source) return undefined;
  return jobIdOf(run, 'list' in source ? source.list : source.record);
}

/** Ids in the order of their paths, numbers as numbers. */
export function byPath(one: { readonly id: string }, other: { readonly id: string }): number {
  const [own, others] = [one.id.split(/(\d+)/), other.id.split(/(\d+)/)];
  for (const [index, part] of own.entries()) {
    const next = others[index];
    if (next === undefined) return 1;
    if (part === next) continue;
    return index % 2 === 1 ? Number(part) - Number(next) : part < next ? -1 : 1;
  }
  return own.length - others.length;
}

// The tasks next to a job in its run, whatever stands between them.

/** The tasks that a job waited for, up to so many. */
export async function tasksBefore(store: Store, place: JobRef, limit: number): Promise<JobRef[]> {
  const found: JobRef[] = [];
  const visit = async (from: JobRef): Promise<void> => {
    for (const child of (await childPlaces(store, from)).sort(byPath)) {
      if (found.length >= limit) return;
      if (child.queue !== INTERNAL_QUEUE) found.push(child);
      else if (await isPassage(store, child)) await visit(child);
    }
  };
  await visit(place);
  return found;
}

/** The job that waits for another one, or its run; undefined if none does. */
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

/** Whether what stands before an internal job stands before the next one too. */
async function isPassage(store: Store, { queue, id }: JobRef): Promise<boolean> {
  const job = await readJob(store, { queue, id });
  if (job?.name !== INTERNAL_JOB.fanOut) return job !== undefined;
  const outcome = await jobOutcomeOf(store, { queue, id });
  if (outcome.kind !== 'completed') return false;
  // What it has added stands between.
  return isPassedOn(outcome.value) || (isPlainObject(outcome.value) && outcome.value.count === 0);
}
