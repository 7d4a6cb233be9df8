/** This module finds the group whose results are a run's result, and reads the outcomes of its members. */

import { isPlainObject } from '../../base/text.js';
import { recordOf } from '../../codec/error-record.js';
import type { JobRef } from '../../job/job.js';
import {
  INTERNAL_JOB,
  INTERNAL_QUEUE,
  type JoinRule,
  jobIdOf,
  type ListSource,
  type RecordSource,
  SLICE,
} from '../../job/job-tree.js';
import { referredMembers } from '../../job/marks.js';
import { isFinal } from '../../job/states.js';
import { childCounts, childPlaces, jobStateOf, readJob } from '../../store/read.js';
import { internalChildren, jobOutcomeOf } from '../../store/results.js';
import type { Store } from '../../store/store.js';
import { addedInOrder } from '../../workflow/added-members.js';
import { PROBE, readMembers } from '../../workflow/join.js';
import type { MemberOutcome, PageEntry, Range } from '../async-result.js';
import { streamedOf } from './relatives.js';

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
