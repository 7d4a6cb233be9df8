/** The jobs that a job of a run waits for, told apart by their paths; see `flow/path.ts`. */
import { childPlaces } from '../../bullmq/standing.js';
import type { Store } from '../../bullmq/store.js';
import type { ChildPlace, JobPlace } from '../../bullmq/tree.js';
import { INTERNAL_QUEUE, jobIdOf, type Source } from '../../flow/node.js';
import { pathOf } from '../../flow/path.js';
import { isSize } from '../../flow/shape.js';
import { hasEnded } from '../../graph/states.js';
import type { Envelope } from '../../wire/envelope.js';
import { isPlainObject } from '../../wire/plain-object.js';

export interface Kin {
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
export async function kinOf(store: Store, place: JobPlace, state: string, envelope: Content): Promise<Kin> {
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
async function listed(store: Store, place: JobPlace): Promise<ChildPlace[]> {
  const children = await childPlaces(store, place);
  // It may have added them, and ended, while the list was read.
  const isTold = children.some((child) => child.kind === 'processed' && isFanOut(child));
  return isTold ? childPlaces(store, place) : children;
}

function isFanOut({ queue, id }: JobPlace): boolean {
  return queue === INTERNAL_QUEUE && /-(fan\d*|in)$/.test(id);
}

/** The id of the child that has added another one, going by their ids. */
export function adderOf(id: string, { list, fanOuts }: Kin): string | undefined {
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
  const count = after.count ?? (await toldOf(store, run, after)).count ?? 0;
  const idAt = (index: number) => jobIdOf(run, `${after.list}.${index}!`);
  const most = Math.min(count, LEFT.max);
  const areThere = most <= LEFT.believed || (await store.holds(INTERNAL_QUEUE, idAt(most - 1)));
  const length = areThere ? most : LEFT.believed;
  return Array.from({ length }, (_, index) => idAt(index))
    .filter((id) => !there.has(id))
    .map((id) => ({ id, queue: INTERNAL_QUEUE, kind: 'unprocessed' }));
}

/** What the job that adds the members has told about them. */
export async function toldOf(
  store: Store,
  run: string,
  { via }: Source,
): Promise<{ readonly count?: number; readonly sliced?: boolean }> {
  const outcome = via === undefined ? undefined : await store.outcome(INTERNAL_QUEUE, jobIdOf(run, via));
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
