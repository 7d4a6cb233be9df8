/**
 * Members that handlers add to their group with `ctx.addToGroup`: their identity, and the order of their results.
 *
 * A repeated attempt may add other members, or in another order. So a member is identified by its content or its key, not by
 * the order of the calls. Its first call is a part of its path, because results are in that order:
 *
 * | path            | member                                                                  |
 * | --------------- | ----------------------------------------------------------------------- |
 * | `p.3+…+0=2f…`   | first call of a job at `p.3…`                                           |
 * | `p.3+…+4_1=9c…` | first call of a later attempt, when five members had been added already |
 * | `p.3+…+0`       | first call, added by a worker of an earlier version                     |
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../codec/json.js';
import { ADDED_SUFFIX } from '../job/ids.js';
import { type JobNode, jobsOf, nodesOf } from '../job/job-tree.js';

/** Length of a digest. For a thousand members of one job, the probability of a collision is about 10^-13. */
const DIGEST_CHARACTERS = 16;

/** Returns the data by which workflows differ: their tasks with paths and inputs. */
export function shapeOf(root: JobNode): unknown {
  return Array.from(jobsOf(root), ({ path, name, input, items, into, expand }) => {
    const added = expand && [Object.keys(expand).sort(), nodesOf(expand).map(shapeOf)];
    return [path, name, input, items, into, added];
  });
}

/** Returns a digest of a member's calls, their inputs and their callbacks. Options do not count. */
export function contentOf(member: JobNode): string {
  const following = Array.from(jobsOf(member), ({ callbacks = {} }) =>
    Object.entries(callbacks).map(([kind, nodes]) => [kind, nodes.map(shapeOf)]),
  );
  return createHash('sha256')
    .update(canonicalJson([shapeOf(member), following]))
    .digest('hex');
}

/** Returns the identity of a member without a key. `occurrence` is its index among members with the same content. */
export function contentDigest(content: string, occurrence: number): string {
  return digestOf(['content', content, occurrence]);
}

/** Returns the identity of a member with a key. */
export function keyDigest(key: string): string {
  return digestOf(['key', key]);
}

function digestOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, DIGEST_CHARACTERS);
}

/** The members that earlier attempts of a job added, by the suffixes of their paths. */
export class EarlierMembers {
  readonly #known = new Map<string, string>();
  /** Suffixes without a digest, from workers of an earlier version. */
  readonly #plain = new Set<string>();
  readonly #lastCall: number;
  readonly #lastLater: number;

  constructor(suffixes: Iterable<string> = []) {
    let lastCall = -1;
    let lastLater = 0;
    for (const suffix of suffixes) {
      const parsed = parseSuffix(suffix);
      if (parsed === undefined) continue;
      const { call, later, digest } = parsed;
      if (digest === undefined) this.#plain.add(suffix);
      else this.#known.set(digest, this.#known.get(digest) ?? suffix);
      if (call > lastCall) lastLater = 0;
      if (call >= lastCall) lastLater = Math.max(lastLater, later);
      lastCall = Math.max(lastCall, call);
    }
    this.#lastCall = lastCall;
    this.#lastLater = lastLater;
  }

  /**
   * Returns the path suffix of the member with this digest: its existing one, or a new one after those of earlier attempts.
   * @param call The index of the call in its attempt, from 0.
   */
  suffixOf(digest: string, call: number): string {
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    if (this.#plain.has(`${call}`)) return `${call}`;
    if (call > this.#lastCall) return `${call}=${digest}`;
    return `${this.#lastCall}_${this.#lastLater + call + 1}=${digest}`;
  }
}

interface ParsedSuffix {
  /** The index of the call that added the member. */
  readonly call: number;
  /** The order among members that later attempts added after that call; 0 for the first attempt. */
  readonly later: number;
  readonly digest: string | undefined;
}

function parseSuffix(suffix: string): ParsedSuffix | undefined {
  const match = ADDED_SUFFIX.exec(suffix);
  if (match === null) return undefined;
  const [, call, later = '0', digest] = match;
  return { call: Number(call), later: Number(later), digest };
}

/** The position of an added member in the value of its group. */
export interface AddedPosition extends ParsedSuffix {
  /** The index of the declared member from which the addition started. */
  readonly by: number;
  /** Number of members in the chain of additions, each added by the one before. */
  readonly depth: number;
  /** The adding step as text that sorts in the order of execution: inner steps have a number, the last step has none. */
  readonly step: string;
}

/** Returns the ids of a group's added members, in the order of their results. */
export function addedInOrder(list: string, ids: readonly string[]): string[] {
  const members = ids.flatMap((id) => {
    const position = addedPosition(list, id);
    return position === undefined ? [] : [{ id, position }];
  });
  return members.sort((a, b) => comparePositions(a.position, b.position)).map(({ id }) => id);
}

export function comparePositions(a: AddedPosition, b: AddedPosition): number {
  return (
    a.by - b.by ||
    a.depth - b.depth ||
    compareText(a.step, b.step) ||
    a.call - b.call ||
    a.later - b.later ||
    compareText(a.digest ?? '', b.digest ?? '')
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** Returns the position of the added member with this id; undefined if the group has no such added member. */
export function addedPosition(list: string, id: string): AddedPosition | undefined {
  if (!id.startsWith(`${list}.`)) return undefined;
  const rest = id.slice(list.length + 1);
  const last = rest.lastIndexOf('+');
  const suffix = parseSuffix(rest.slice(last + 1));
  const [by] = /^\d+(?=\+)/.exec(rest) ?? [];
  if (suffix === undefined || by === undefined || last <= by.length) return undefined;
  const inside = rest.slice(by.length + 1, last);
  const step = `${inside.replace(/\d+/g, (digits) => digits.padStart(10, '0'))}\uffff`;
  return { by: Number(by), depth: inside.split('+').length, step, ...suffix };
}
