/** Some members of a group in declared order, read from those jobs only that have them. */
import { childCounts, childPlaces } from '../../bullmq/standing.js';
import type { Store } from '../../bullmq/store.js';
import { INTERNAL_QUEUE, SLICE } from '../../flow/node.js';
import type { MemberOutcome, PageEntry } from '../member-outcome.js';
import type { Range } from '../options.js';
import { isFinal } from '../state.js';
import { endedBelow, type Group, indexOf, keyAt } from './group.js';
import { toldOf } from './kin.js';

export async function memberPage(store: Store, group: Group, range: Range): Promise<PageEntry<unknown>[]> {
  const { run, source, list, join } = group;
  const declared = 'record' in source ? source.keys.length : source.count;
  const told = await toldOf(store, run, source);
  const count = declared ?? told.count;
  const end = Math.min(range.offset + range.limit, count ?? Number.MAX_SAFE_INTEGER);
  const isOver = isFinal(await store.state(join.queue, join.id));
  const isSliced =
    source.sliced === true || told.sliced === true || (await childrenOf(store, `${list}/0`)) > 0;
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

/** How many members are there of a group whose size is not told yet. */
async function membersOf(store: Store, { list, join }: Group): Promise<number> {
  const children = await childPlaces(store, join);
  const indexes = children.map(({ id }) => indexOf(list, id.replace(/!$/, '')) ?? -1);
  return indexes.reduce((most, index) => Math.max(most, index), -1) + 1;
}

async function childrenOf(store: Store, id: string): Promise<number> {
  const { unprocessed, processed, ignored } = await childCounts(store, { queue: INTERNAL_QUEUE, id });
  return unprocessed + processed + ignored;
}
