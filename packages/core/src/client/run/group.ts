/**
 * This module finds the group whose results are a run's result, and reads its members: their outcomes, and what a graph
 * shows of them.
 */

import { isPlainObject } from '../../base/text.js';
import { recordOf } from '../../codec/error-record.js';
import type { JobRef } from '../../job/job.js';
import {
  type Expansion,
  INTERNAL_JOB,
  INTERNAL_QUEUE,
  type JobNode,
  type JoinRule,
  jobIdOf,
  type ListSource,
  nodesOf,
  type RecordSource,
  SLICE,
} from '../../job/job-tree.js';
import { referredMembers } from '../../job/marks.js';
import { isFinal } from '../../job/states.js';
import type { ChildNumbers } from '../../store/primitives/run-trees.js';
import {
  childCounts,
  childCountsOfAll,
  childPlaces,
  jobStateOf,
  readJob,
  runningIds,
} from '../../store/read.js';
import { internalChildren, jobOutcomeOf } from '../../store/results.js';
import type { Store } from '../../store/store.js';
import type { ChildPlace } from '../../store/tree.js';
import { addedInOrder } from '../../workflow/added-members.js';
import { labelsOf, plannedAdds } from '../../workflow/graph.js';
import {
  type Added,
  type Adds,
  added,
  hasEnded,
  type Part,
  partsOf,
  type StateCounts,
} from '../../workflow/graph-parts.js';
import { FOLD, nodeShapeOf, repeated, spanning } from '../../workflow/graph-tally.js';
import { PROBE, readMembers } from '../../workflow/join.js';
import type { MemberOutcome, PageEntry, Range } from '../async-result.js';
import { type ClassifiedChildren, sortedByPath, streamedOf } from './relatives.js';

export interface Group {
  readonly run: string;
  /** The job that waits for the members. */
  readonly join: JobRef;
  readonly source: ListSource | RecordSource;
  readonly rule: JoinRule | undefined;
  /** Prefix of the ids of the members. */
  readonly list: string;
}

/** Returns the group of a run's result; undefined if it is unknown yet, or the result does not come from a group. */
export async function groupOf(store: Store, place: JobRef): Promise<Group | undefined> {
  if (place.queue !== INTERNAL_QUEUE) return undefined;
  const job = await readJob(store, place);
  const { after, join: rule, run = place.id } = job?.envelope ?? {};
  const isJoin = job?.name === INTERNAL_JOB.run || job?.name === INTERNAL_JOB.collect;
  if (!isJoin || after === undefined || after.flat || rule?.single) return undefined;
  if ('step' in after) return groupOf(store, { queue: INTERNAL_QUEUE, id: jobIdOf(run, after.step) });
  if ('list' in after && after.chunked) return undefined;
  // The preceding chain ended early with another result.
  if (
    after.via !== undefined &&
    (await jobStateOf(store, { queue: INTERNAL_QUEUE, id: jobIdOf(run, after.via) })) === 'skipped'
  )
    return undefined;
  const list = jobIdOf(run, 'list' in after ? after.list : after.record);
  return { run, join: place, source: after, rule, list };
}

/** An ended member, whose outcome is read on demand. */
export interface EndedMember {
  /** Undefined for a member that another member has added. */
  readonly index: number | undefined;
  readonly id: string;
  read(index: number): Promise<MemberOutcome<unknown>>;
}

/** Returns the ended members below a join or a slice. */
export async function endedBelow(store: Store, group: Group, id: string): Promise<EndedMember[]> {
  const { list, rule } = group;
  const children = internalChildren(store);
  const [results, failed] = await Promise.all([children.results(id), children.failed(id)]);
  const ended: EndedMember[] = [];
  const add = (member: string, outcome: () => Promise<unknown>, isGood: boolean) => {
    const index = indexOf(list, member);
    if (index === undefined && !isAdded(list, member)) return;
    ended.push({ id: member, index, read: async (at) => outcomeOf(group, at, await outcome(), isGood) });
  };
  for (const [member, value] of results) add(member, () => resolved(store, group, value), true);
  for (const child of failed) {
    const failure = async () => recordOf(await children.origin(child));
    if (rule?.need === undefined) add(child.id, failure, false);
    else if (child.reason !== PROBE.won) add(memberOfProbe(child.id), failure, false);
    else {
      const member = memberOfProbe(child.id);
      add(member, async () => resolved(store, group, (await children.results(child.id)).get(member)), true);
    }
  }
  return ended;
}

/** Returns the index of a member from its id; undefined for other jobs. */
function indexOf(list: string, id: string): number | undefined {
  if (!id.startsWith(`${list}.`)) return undefined;
  const text = id.slice(list.length + 1);
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Returns the key of a member if the group is a record. */
function keyAt({ source }: Group, index: number): { readonly key?: string } {
  const key = 'record' in source ? source.keys[index] : undefined;
  return key === undefined ? {} : { key };
}

function isAdded(list: string, id: string): boolean {
  return addedInOrder(list, [id]).length > 0;
}

function memberOfProbe(id: string): string {
  return id.replace(/!$/, '');
}

/** Returns the outcome of a member. In a settled group, the outcomes themselves are the results. */
function outcomeOf(group: Group, index: number, content: unknown, isGood: boolean): MemberOutcome<unknown> {
  const place = { index, ...keyAt(group, index) };
  const outcome = isGood ? { ok: true, value: content } : { ok: false, error: content };
  if (group.source.settled) return { ...place, ok: true, value: outcome };
  return { ...place, ...outcome } as MemberOutcome<unknown>; // the content of a failure is a failure record
}

/** Returns the value, or the results of a large group that it refers to. */
async function resolved(store: Store, { run }: Group, value: unknown): Promise<unknown> {
  const members = referredMembers(value);
  return members === undefined ? value : readMembers({ id: run, run }, internalChildren(store), members);
}

// Pages of members in declared order, read only from the jobs that hold them.

export async function memberPage(store: Store, group: Group, range: Range): Promise<PageEntry<unknown>[]> {
  const { run, source, list, join } = group;
  const declared = 'record' in source ? source.keys.length : source.count;
  const streamed = await streamedOf(store, run, source);
  const count = declared ?? streamed.count;
  const end = Math.min(range.offset + range.limit, count ?? Number.MAX_SAFE_INTEGER);
  const isOver = isFinal(await jobStateOf(store, join));
  const isSliced =
    source.sliced === true || streamed.sliced === true || (await childrenOf(store, `${list}/0`)) > 0;
  const holders: { readonly id: string; readonly start: number; readonly size: number }[] = [];
  if (isSliced) {
    for (let slice = Math.floor(range.offset / SLICE); slice * SLICE < end; slice += 1) {
      const id = `${list}/${slice}`;
      const size = await childrenOf(store, id);
      if (size === 0 && count === undefined) break;
      holders.push({ id, start: slice * SLICE, size: Math.min(size, SLICE) });
    }
  } else {
    holders.push({ id: join.id, start: 0, size: count ?? (await membersOf(store, group)) });
  }
  const entries: PageEntry<unknown>[] = [];
  for (const { id, start, size } of holders) {
    const ended = await outcomesOf(store, group, id, range.offset, end);
    const last = Math.min(end, isSliced ? start + SLICE : size);
    for (let index = Math.max(range.offset, start); index < last; index += 1) {
      const outcome = ended.get(index);
      const isThere = index < start + size || (count !== undefined && !isOver);
      if (outcome !== undefined) entries.push(outcome);
      else if (isThere) entries.push({ index, ...keyAt(group, index), pending: true });
    }
  }
  return entries;
}

async function outcomesOf(
  store: Store,
  group: Group,
  id: string,
  first: number,
  end: number,
): Promise<ReadonlyMap<number, MemberOutcome<unknown>>> {
  const outcomes = new Map<number, MemberOutcome<unknown>>();
  for (const member of await endedBelow(store, group, id)) {
    const { index } = member;
    if (index !== undefined && index >= first && index < end) outcomes.set(index, await member.read(index));
  }
  return outcomes;
}

/** Returns the current number of members of a group whose size is unknown yet. */
async function membersOf(store: Store, { list, join }: Group): Promise<number> {
  const children = await childPlaces(store, join);
  const indexes = children.map(({ id }) => indexOf(list, id.replace(/!$/, '')) ?? -1);
  return indexes.reduce((most, index) => Math.max(most, index), -1) + 1;
}

async function childrenOf(store: Store, id: string): Promise<number> {
  const { unprocessed, processed, ignored } = await childCounts(store, { queue: INTERNAL_QUEUE, id });
  return unprocessed + processed + ignored;
}

// Members of a complete result.

/** Returns the items or values of a result; any other value is one member. */
export function membersOfValue(value: unknown): MemberOutcome<unknown>[] {
  if (Array.isArray(value)) return value.map((item: unknown, index) => ({ index, ok: true, value: item }));
  if (!isPlainObject(value)) return [{ index: 0, ok: true, value }];
  return Object.entries(value).map(([key, item], index) => ({ index, key, ok: true, value: item }));
}

/** Returns the members of an ended job; a failed job is one member. */
export async function wholeMembers(store: Store, { queue, id }: JobRef): Promise<MemberOutcome<unknown>[]> {
  const outcome = await jobOutcomeOf(store, { queue, id });
  if (outcome.kind === 'completed') return membersOfValue(outcome.value);
  return outcome.kind === 'failed' ? [{ index: 0, ok: false, error: recordOf(outcome.failure) }] : [];
}

// Members of groups for a graph: few are read one by one; of many, samples are read and all are counted.

/** Maximum number of members with different shapes that are read one by one. */
const MAX_EACH = 100;

/** Number of concurrent reads. */
const AT_ONCE = 20;

/** Maximum number of failed members whose state is read in one reading of a run. The others count as failed. */
const MAX_FAILED = 100;

export class LargeGroups {
  readonly #store: Store;
  readonly #read: (place: ChildPlace) => Promise<Part>;
  /** Final counts of slices. */
  readonly #ended = new Map<string, StateCounts>();
  #running = new Map<string, Promise<readonly string[]>>();
  #failedLeft = MAX_FAILED;

  constructor(store: Store, read: (place: ChildPlace) => Promise<Part>) {
    this.#store = store;
    this.#read = read;
  }

  /** Starts a new reading of the run. */
  begin(): void {
    this.#running = new Map();
    this.#failedLeft = MAX_FAILED;
  }

  /** Returns the members of the group that a job waits for. @param isOver Whether the job has ended. */
  async parts({ list, members, slices }: ClassifiedChildren, isOver: boolean): Promise<Part[]> {
    if (list === undefined) return [];
    if (slices.length > 0) return [...(await this.#sliced(list, slices)), ...(await this.#each(members))];
    if (members.length <= FOLD) return this.#each(members);
    const samples = await this.#samples(members);
    if (!isSame(samples) && members.length <= MAX_EACH) return this.#each(members);
    const [sample] = samples;
    if (sample === undefined) return [];
    return [await this.#many(list, samples, await this.#statesOf(members, sample, isOver))];
  }

  #each(members: readonly ChildPlace[]): Promise<Part[]> {
    return Promise.all(members.map((member) => this.#read(member)));
  }

  /** Returns the first, the middle and the last member. */
  #samples(members: readonly ChildPlace[]): Promise<Part[]> {
    const places = [0, Math.floor(members.length / 2), members.length - 1].map((index) => members[index]);
    return this.#each([...new Set(places)].filter((place) => place !== undefined));
  }

  async #sliced(list: string, slices: readonly ChildPlace[]): Promise<Part[]> {
    const ends = [slices[0], slices.at(-1)].filter((slice) => slice !== undefined);
    const open = slices.filter(({ id }) => !this.#ended.has(id));
    const [counts, ...found] = await Promise.all([
      childCountsOfAll(this.#store, INTERNAL_QUEUE, open),
      ...ends.map((slice) => childPlaces(this.#store, slice)),
    ]);
    const members = sortedByPath(found.flat());
    const queues = new Set(members.map(({ queue }) => queue));
    const [samples] = await Promise.all([
      this.#samples(members),
      ...[...queues].map((queue) => this.#runningOf(queue)),
    ]);
    const [sample] = samples;
    if (sample === undefined) return [];
    const countsOf = new Map(open.map(({ id }, index) => [id, counts[index]]));
    let states: StateCounts = {};
    for (let start = 0; start < slices.length; start += AT_ONCE) {
      const some = slices
        .slice(start, start + AT_ONCE)
        .map((slice) => this.#statesIn(slice, countsOf.get(slice.id), sample));
      states = (await Promise.all(some)).reduce(added, states);
    }
    return [await this.#many(list, samples, states)];
  }

  /** Returns one part that represents all members with their states. */
  async #many(list: string, samples: readonly Part[], states: StateCounts): Promise<Part> {
    const [first] = samples as readonly [Part]; // never empty
    const { node } = first;
    const labels = new Set(samples.map((sample) => sample.node?.label));
    const tasks = new Set(samples.map((sample) => sample.node?.task));
    const label = labels.size === 1 ? node?.label : [...tasks].join(', ');
    const named: Part =
      node === undefined || label === undefined ? first : { ...first, node: { ...node, label } };
    const sample = spanning(named, samples);
    return repeated(sample, states, await this.#runningIn(list, sample));
  }

  /** Returns the states of members according to their parent. */
  async #statesOf(members: readonly ChildPlace[], sample: Part, isOver: boolean): Promise<StateCounts> {
    const states: Record<string, number> = {};
    for (const member of members) {
      const state =
        member.kind === 'unprocessed' && isOver && isProbe(member)
          ? 'unknown'
          : await this.#stateOf(member, sample);
      states[state] = (states[state] ?? 0) + 1;
    }
    return states;
  }

  /** @param counts The numbers of its members, unless these have ended. */
  async #statesIn(slice: ChildPlace, counts: ChildNumbers | undefined, sample: Part): Promise<StateCounts> {
    const known = this.#ended.get(slice.id);
    if (known !== undefined || counts === undefined) return known ?? {};
    const { unprocessed, processed, ignored } = counts;
    const failed = ignored === 0 ? {} : await this.#failedIn(slice, ignored, sample);
    const byState = [{ [waitingState(sample)]: unprocessed, completed: processed }, failed].reduce(added);
    const total = unprocessed + processed + ignored;
    const states = total === 0 ? { unknown: SLICE } : byState; // the slice is missing
    if (unprocessed === 0) this.#ended.set(slice.id, states);
    return states;
  }

  async #failedIn(slice: ChildPlace, count: number, sample: Part): Promise<StateCounts> {
    if (this.#failedLeft <= 0) return { failed: count };
    return this.#statesOf(await childPlaces(this.#store, slice, ['ignored']), sample, false);
  }

  async #stateOf({ kind, queue, id, reason }: ChildPlace, sample: Part): Promise<string> {
    if (kind === 'processed' || reason === PROBE.won) return 'completed';
    if (kind === 'unprocessed') return waitingState(sample);
    if (this.#failedLeft <= 0) return 'failed';
    this.#failedLeft -= 1;
    return (await readJob(this.#store, { queue, id }))?.envelope?.failure?.state ?? 'failed';
  }

  /** Returns the ids of the running jobs of a queue, read once in one reading of the run. */
  #runningOf(queue: string): Promise<readonly string[]> {
    const ids = this.#running.get(queue) ?? runningIds(this.#store, queue);
    this.#running.set(queue, ids);
    return ids;
  }

  /** Returns the number of running jobs of members, by id with `*` instead of the index. */
  async #runningIn(list: string, sample: Part): Promise<ReadonlyMap<string, number>> {
    const running = new Map<string, number>();
    for (const queue of queuesOf(sample)) {
      for (const id of await this.#runningOf(queue)) {
        if (!id.startsWith(`${list}.`)) continue;
        const pattern = `${list}.*${id.slice(list.length + 1).replace(/^\d+/, '')}`;
        running.set(pattern, (running.get(pattern) ?? 0) + 1);
      }
    }
    return running;
  }
}

/** Returns the state of members that neither run nor have ended: members with steps are pending. */
function waitingState(sample: Part): string {
  return sample.node !== undefined && partsOf(sample).length === 0 ? 'waiting' : 'pending';
}

function isProbe({ id }: ChildPlace): boolean {
  return id.endsWith('!');
}

function isSame(parts: readonly Part[]): boolean {
  return new Set(parts.map(nodeShapeOf)).size === 1;
}

/** Returns the queues of the tasks in a part. */
export function queuesOf(part: Part): ReadonlySet<string> {
  const own = part.node === undefined ? [] : [part.node.queue];
  return new Set([...own, ...partsOf(part).flatMap((each) => [...queuesOf(each)])]);
}

// Members that fan-outs have added or will add.

/** Children of a job, some of which fan-outs among them have added. */
interface AddedChildren {
  /** Added parts by the id of the fan-out. */
  readonly parts: ReadonlyMap<string, readonly Part[]>;
  /** Ids of all children. */
  readonly ids: ReadonlySet<string>;
  /** Whether all fan-outs had ended before the children were listed, so that none is missing. */
  readonly isWhole: boolean;
  /** Whether the parent has ended, so that no more children are added. */
  readonly isOver: boolean;
}

/** Children by the id of their parent. */
export type Given = ReadonlyMap<string, AddedChildren>;

interface FanOut extends JobRef {
  readonly run: string;
  readonly state: string;
  readonly expand: Expansion;
}

/** Returns the parts that a fan-out has added or will add. */
export async function addsOf(store: Store, fanOut: FanOut, given: Given): Promise<Adds> {
  const { id, run, expand } = fanOut;
  const children = given.get(jobIdOf(run, expand.parent.path));
  const state = children?.isWhole === false ? 'active' : fanOut.state;
  const parts = children?.parts.get(id) ?? [];
  const planned = plannedAdds(expand, { run, state: hasEnded(state) ? 'skipped' : 'pending' });
  const { isOptional, ...adds } = planned;
  const labels = labelsOf(expand);
  if (state === 'completed') {
    if (labels === undefined) return { ...adds, parts: parts.map(sure) };
    const chosen = await chosenBranch(store, fanOut);
    const branches = planned.parts.map((branch, index): Added => {
      const [part] = index === chosen ? parts : [];
      return part === undefined ? { ...branch, chance: 'none' } : { ...branch, part, chance: 'sure' };
    });
    // Without a branch, the input was passed on.
    return { ...adds, parts: branches, ...(chosen === undefined && isOptional && { isOptional }) };
  }
  if (hasEnded(state)) {
    const never = planned.parts.map((added): Added => ({ ...added, chance: 'none' }));
    return { ...adds, parts: parts.length > 0 ? parts.map(sure) : never };
  }
  const nodes = nodesOf(expand);
  const missing = planned.parts.filter((_, index) =>
    labels !== undefined ? parts.length === 0 : !isThere(nodes[index], expand, run, children),
  );
  return { ...planned, parts: [...parts.map(sure), ...missing] };
}

function sure(part: Part): Added {
  return { part, chance: 'sure' };
}

/** Returns whether an unended fan-out has already added a node. */
function isThere(
  node: JobNode | undefined,
  expand: Expansion,
  run: string,
  children: AddedChildren | undefined,
): boolean {
  if (node === undefined || children === undefined) return false;
  const { ids } = children;
  if ('each' in expand) {
    const list = jobIdOf(run, expand.list);
    return [`${list}.0`, `${list}.0!`, `${list}/0`].some((id) => ids.has(id));
  }
  if ('slice' in expand && expand.slice !== undefined) {
    const { list, first } = expand.slice;
    return ids.has(jobIdOf(run, `${list}/${first / SLICE}`));
  }
  return ids.has(jobIdOf(run, node.path));
}

/** Returns the index of the branch that a fan-out has chosen; undefined if none. */
async function chosenBranch(store: Store, { queue, id }: JobRef): Promise<number | undefined> {
  const outcome = await jobOutcomeOf(store, { queue, id });
  const chosen =
    outcome.kind === 'completed' && isPlainObject(outcome.value) ? outcome.value.taken : undefined;
  return typeof chosen === 'number' ? chosen : undefined;
}
