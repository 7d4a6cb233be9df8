/** What a join has that needs only some of its members. */
import { randomUUID } from 'node:crypto';
import { UpstreamFailedError } from '../errors.js';
import { isStopped, referredMembers } from '../wire/marks.js';
import { isPlainObject } from '../wire/plain-object.js';
import {
  type Children,
  firstCause,
  type Gathered,
  type Gatherer,
  gather,
  lossOf,
  readMembers,
  toldCount,
} from './gather.js';
import { type FlowNode, INTERNAL_JOB, INTERNAL_QUEUE, type JoinRule, jobIdOf, type Source } from './node.js';

/** What a probe fails with, so that its join is started at once. */
export const PROBE = { won: 'umbel:won', again: 'umbel:again' } as const;

/** The words of a failure that is no probe's, so that a join does not take them for a probe's. */
export function unlikeProbe(message: string): string {
  return message.startsWith('umbel:') ? `Error: ${message}` : message;
}

/** A child that starts the job at `path`, which waits, by failing at once. */
export function wakingProbe(path: string): FlowNode {
  return { path: `${path}!${randomUUID()}`, name: INTERNAL_JOB.probe, queue: INTERNAL_QUEUE };
}

/**
 * What a join with a rule of its own has: the results of the members that it needs, once enough have succeeded. Each
 * member stands below a probe, which fails on purpose once the member has ended, and so starts the join at once.
 * @param isFed Nothing is added any more, whatever the store says of the job that adds.
 * @throws {UpstreamFailedError} if too many have failed.
 */
export async function gatherNeeded(
  job: Gatherer,
  children: Children,
  source: Source,
  { need = 1, single }: JoinRule,
  { isFed: isKnownFed = false } = {},
): Promise<Gathered> {
  if (!('list' in source)) throw new RangeError('a rule of its own is for lists');
  const idOf = (path: string) => jobIdOf(job.run, path);
  const failed = new Map((await children.failed()).map((child) => [child.id, child]));
  const via = source.via === undefined ? undefined : idOf(source.via);
  const unfed = via === undefined ? undefined : failed.get(via);
  if (unfed !== undefined) throw new UpstreamFailedError(await children.origin(unfed));
  const results = via === undefined && source.count !== undefined ? undefined : await children.results();
  const told = via === undefined ? undefined : results?.get(via);
  if (isStopped(told)) return gather(job, children, source);
  const count = source.count ?? (isPlainObject(told) ? toldCount(via ?? '', told) : undefined);
  const isFed = isKnownFed || via === undefined || told !== undefined;
  const probes = [...failed.values()].flatMap((probe) => {
    const index = probeIndex(idOf(source.list), probe.id);
    return index === undefined ? [] : [{ index, probe }];
  });
  probes.sort((a, b) => a.index - b.index);
  const won = probes.filter(({ probe }) => probe.reason === PROBE.won);
  const seen = failed.size;
  if (won.length >= need) {
    if (!isFed) return { kind: 'later' };
    const values: unknown[] = [];
    for (const { index } of won.slice(0, single ? 1 : won.length)) {
      const below = await children.results(idOf(`${source.list}.${index}!`));
      const member = idOf(`${source.list}.${index}`);
      if (!below.has(member)) throw new UpstreamFailedError(lossOf(member));
      const value = below.get(member);
      const members = single ? undefined : referredMembers(value);
      values.push(members === undefined ? value : await readMembers(job, children, members));
    }
    return { kind: 'value', value: single ? values[0] : values };
  }
  const lost = probes.flatMap(({ probe }) => (probe.reason === PROBE.won ? [] : [probe]));
  if (count !== undefined && lost.length > Math.max(count - need, 0)) {
    throw new UpstreamFailedError(await firstCause(children, lost));
  }
  if (children.mayBePending) return { kind: 'waiting', seen };
  const ended = new Set(probes.map(({ index }) => index));
  let gone = 0;
  while (ended.has(gone)) gone += 1;
  const isViaGone = via !== undefined && told === undefined;
  throw new UpstreamFailedError(lossOf(isViaGone ? via : idOf(`${source.list}.${gone}`)));
}

/** Which member a probe stands above. */
function probeIndex(list: string, id: string): number | undefined {
  if (!id.startsWith(`${list}.`)) return undefined;
  const match = /^(\d+)!$/.exec(id.slice(list.length + 1));
  return match === null ? undefined : Number(match[1]);
}
