/** The group whose results are a run's result, and how its members have ended. */
import type { Store } from '../../bullmq/store.js';
import type { JobPlace } from '../../bullmq/tree.js';
import { addedInOrder } from '../../flow/added.js';
import { readMembers } from '../../flow/gather.js';
import { PROBE } from '../../flow/needed.js';
import {
  INTERNAL_JOB,
  INTERNAL_QUEUE,
  type JoinRule,
  jobIdOf,
  type ListSource,
  type RecordSource,
} from '../../flow/node.js';
import { recordOf } from '../../tasks/failure-record.js';
import { referredMembers } from '../../wire/marks.js';
import type { MemberOutcome } from '../member-outcome.js';

export interface Group {
  readonly run: string;
  /** The job that waits for the members. */
  readonly join: JobPlace;
  readonly source: ListSource | RecordSource;
  readonly rule: JoinRule | undefined;
  /** The id before those of the members. */
  readonly list: string;
}

/** The group, as far as it is known yet. None for what gives its result as a whole. */
export async function groupOf(store: Store, place: JobPlace): Promise<Group | undefined> {
  if (place.queue !== INTERNAL_QUEUE) return undefined;
  const job = await store.job(place.queue, place.id);
  const { after, join: rule, run = place.id } = job?.envelope ?? {};
  const isJoin = job?.name === INTERNAL_JOB.run || job?.name === INTERNAL_JOB.collect;
  if (!isJoin || after === undefined || after.flat || rule?.single) return undefined;
  if ('step' in after) return groupOf(store, { queue: INTERNAL_QUEUE, id: jobIdOf(run, after.step) });
  if ('list' in after && after.chunked) return undefined;
  // The chain before it has ended early, with a result of its own.
  if (after.via !== undefined && (await store.state(INTERNAL_QUEUE, jobIdOf(run, after.via))) === 'skipped')
    return undefined;
  const list = jobIdOf(run, 'list' in after ? after.list : after.record);
  return { run, join: place, source: after, rule, list };
}

/** How a member has ended; read when it is asked for. */
export interface EndedMember {
  /** Absent for one that another member has added. */
  readonly index: number | undefined;
  readonly id: string;
  read(index: number): Promise<MemberOutcome<unknown>>;
}

/** The members below a job, which is the join or has a slice of them, that have ended. */
export async function endedBelow(store: Store, group: Group, id: string): Promise<EndedMember[]> {
  const { list, rule } = group;
  const children = store.children();
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

/** The member of a group with this id; undefined for other jobs. */
export function indexOf(list: string, id: string): number | undefined {
  if (!id.startsWith(`${list}.`)) return undefined;
  const text = id.slice(list.length + 1);
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

/** The key of a member, if the group is a record. */
export function keyAt({ source }: Group, index: number): { readonly key?: string } {
  const key = 'record' in source ? source.keys[index] : undefined;
  return key === undefined ? {} : { key };
}

function isAdded(list: string, id: string): boolean {
  return addedInOrder(list, [id]).length > 0;
}

function memberOfProbe(id: string): string {
  return id.replace(/!$/, '');
}

/** Where members may fail, the group's results are what became of them. */
function outcomeOf(group: Group, index: number, told: unknown, isGood: boolean): MemberOutcome<unknown> {
  const place = { index, ...keyAt(group, index) };
  const outcome = isGood ? { ok: true, value: told } : { ok: false, error: told };
  if (group.source.settled) return { ...place, ok: true, value: outcome };
  return { ...place, ...outcome } as MemberOutcome<unknown>; // a failure's is a record of it
}

/** The value, or the results of a large group that it stands for. */
async function resolved(store: Store, { run }: Group, value: unknown): Promise<unknown> {
  const members = referredMembers(value);
  return members === undefined ? value : readMembers({ id: run, run }, store.children(), members);
}
