/**
 * Members that handlers add to their group: how one is told from another, and in which order their results come.
 *
 * An attempt that is repeated may ask for others, or in another order. So a member is known by what it is, and not by
 * when it was asked for; when it was asked for first is a part of its path, since results come in that order:
 *
 * | path              | is                                                                               |
 * | ----------------- | -------------------------------------------------------------------------------- |
 * | `p.3+…+0=2f…`     | what a job at `p.3…` has asked for first                                         |
 * | `p.3+…+4_1=9c…`   | what a later attempt has asked for as its first, while there was a fifth already |
 * | `p.3+…+0`         | what a worker of an earlier version has added first                              |
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../codec/json.js';
import { ADDED_SUFFIX } from '../job/ids.js';
import type { JobNode } from '../job/job-tree.js';
import { jobsOf, nodesOf } from '../job/job-tree.js';

/** Of a digest: among the members that one job adds, two are the same by chance once in 10^13 for a thousand of them. */
const DIGEST_CHARACTERS = 16;

/** What makes one composition differ from another: its tasks, in their places, and their inputs. */
export function shapeOf(root: JobNode): unknown {
  return Array.from(jobsOf(root), ({ path, name, input, items, into, expand }) => {
    const added = expand && [Object.keys(expand).sort(), nodesOf(expand).map(shapeOf)];
    return [path, name, input, items, into, added];
  });
}

/** What a member is: a digest of its calls with their inputs, and of what follows them. Options are no part of it. */
export function contentOf(member: JobNode): string {
  const following = Array.from(jobsOf(member), ({ callbacks = {} }) =>
    Object.entries(callbacks).map(([kind, nodes]) => [kind, nodes.map(shapeOf)]),
  );
  return createHash('sha256')
    .update(canonicalJson([shapeOf(member), following]))
    .digest('hex');
}

/** What tells a member from the others of the same job: its content, and which it is of several equal ones. */
export function contentDigest(content: string, occurrence: number): string {
  return digestOf(['content', content, occurrence]);
}

/** The same of one that has a key. */
export function keyDigest(key: string): string {
  return digestOf(['key', key]);
}

function digestOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, DIGEST_CHARACTERS);
}

/** The members that earlier attempts of a job have added, by the ends of their paths. */
export class EarlierMembers {
  readonly #known = new Map<string, string>();
  /** Of workers that knew members by when they were asked for. */
  readonly #plain = new Set<string>();
  readonly #lastTurn: number;
  readonly #lastLater: number;

  constructor(suffixes: Iterable<string> = []) {
    let lastTurn = -1;
    let lastLater = 0;
    for (const suffix of suffixes) {
      const place = placeIn(suffix);
      if (place === undefined) continue;
      const { turn, later, digest } = place;
      if (digest === undefined) this.#plain.add(suffix);
      else this.#known.set(digest, this.#known.get(digest) ?? suffix);
      if (turn > lastTurn) lastLater = 0;
      if (turn >= lastTurn) lastLater = Math.max(lastLater, later);
      lastTurn = Math.max(lastTurn, turn);
    }
    this.#lastTurn = lastTurn;
    this.#lastLater = lastLater;
  }

  /**
   * The end of the path of the member with this digest, which an attempt asks for as its `call`-th, from 0: the one that
   * it has, or a new one behind those that were there before the attempt.
   */
  suffixOf(digest: string, call: number): string {
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    if (this.#plain.has(`${call}`)) return `${call}`;
    if (call > this.#lastTurn) return `${call}=${digest}`;
    return `${this.#lastTurn}_${this.#lastLater + call + 1}=${digest}`;
  }
}

interface SuffixPlace {
  readonly turn: number;
  readonly later: number;
  readonly digest: string | undefined;
}

function placeIn(suffix: string): SuffixPlace | undefined {
  const match = ADDED_SUFFIX.exec(suffix);
  if (match === null) return undefined;
  const [, turn, later = '0', digest] = match;
  return { turn: Number(turn), later: Number(later), digest };
}

/** Which member has added another, where in it, and as its which one. */
export interface AddedPlace extends SuffixPlace {
  readonly by: number;
  /** How many have added one another. */
  readonly depth: number;
  /** The step of the member. Text in whose order they run: a step before the last one has a number, the last one none. */
  readonly step: string;
}

/** Ids of members that others have added to a list, in their order in its value. */
export function addedInOrder(list: string, ids: readonly string[]): string[] {
  const places = ids.flatMap((id) => {
    const place = addedPlace(list, id);
    return place === undefined ? [] : [{ id, place }];
  });
  return places.sort((a, b) => inOrder(a.place, b.place)).map(({ id }) => id);
}

export function inOrder(a: AddedPlace, b: AddedPlace): number {
  return (
    a.by - b.by ||
    a.depth - b.depth ||
    byText(a.step, b.step) ||
    a.turn - b.turn ||
    a.later - b.later ||
    byText(a.digest ?? '', b.digest ?? '')
  );
}

function byText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

export function addedPlace(list: string, id: string): AddedPlace | undefined {
  if (!id.startsWith(`${list}.`)) return undefined;
  const rest = id.slice(list.length + 1);
  const last = rest.lastIndexOf('+');
  const place = placeIn(rest.slice(last + 1));
  const [by] = /^\d+(?=\+)/.exec(rest) ?? [];
  if (place === undefined || by === undefined || last <= by.length) return undefined;
  const inside = rest.slice(by.length + 1, last);
  const step = `${inside.replace(/\d+/g, (digits) => digits.padStart(10, '0'))}\uffff`;
  return { by: Number(by), depth: inside.split('+').length, step, ...place };
}
