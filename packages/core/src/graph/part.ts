/**
 * A run as the tree that a graph is made of: a job with those it waits for. Planned jobs and stored ones give the same
 * tree.
 */
import type { EdgeKind, GraphNode } from './node.js';

export interface Part {
  /** The job's id, or its path. */
  readonly id: string;
  /** What is shown of a user's task. The jobs that Umbel adds have none: what goes into them comes out of them. */
  readonly node?: GraphNode;
  /** What it waits for. */
  readonly before: readonly Part[];
  readonly adds?: Adds;
  readonly followers?: readonly Follower[];
  /** It stands for so many members of its group. */
  readonly times?: number;
  /** The member of a group that has added it. */
  readonly addedBy?: string;
  /** Nobody knows yet how many members there are. */
  readonly isOpen?: true;
}

/** What a fan-out adds; it stands after what the fan-out waits for. */
export interface Adds {
  /** The part that waits for it. */
  readonly below: string;
  readonly parts: readonly Added[];
  /** What stands before the fan-out stands also before the part that waits for the fan-out. */
  readonly passes?: true;
  /** There may be nothing added, and then it passes. */
  readonly isOptional?: true;
  /** What was added below the fan-out itself decides; it alone stands before. */
  readonly isDecided?: true;
}

export interface Added {
  readonly part: Part;
  readonly label?: string;
  readonly chance: Chance;
}

/** Whether a part becomes jobs if nothing fails: yes; it or another one of those with the same parent; no. */
type Chance = 'sure' | 'choice' | 'none';

/** What comes after a job in another way than as a step. */
export interface Follower {
  readonly part: Part;
  readonly kind?: EdgeKind;
  readonly chance: Chance;
  /** Whether what comes after the job comes after this: too, or only. Absent: it is no part of the run. */
  readonly joins?: 'also' | 'instead';
}

/** The part with others in the places of those that it is made of. */
export function withParts(part: Part, change: (part: Part) => Part): Part {
  const { before, adds, followers } = part;
  return {
    ...part,
    before: before.map(change),
    ...(adds !== undefined && {
      adds: { ...adds, parts: adds.parts.map((added) => ({ ...added, part: change(added.part) })) },
    }),
    ...(followers !== undefined && {
      followers: followers.map((next) => ({ ...next, part: change(next.part) })),
    }),
  };
}

/** Every part that it is directly made of, in an order of their own. */
export function partsOf({ before, adds, followers }: Part): readonly Part[] {
  return [
    ...before,
    ...(adds?.parts ?? []).map(({ part }) => part),
    ...(followers ?? []).map(({ part }) => part),
  ];
}

/** Whether a part and all that it is made of are like that; those that are `known` to be are not looked into. */
export function everyPart(
  root: Part,
  isLike: (part: Part) => boolean,
  known: { has(part: Part): boolean } = new Set(),
): boolean {
  const left = [root]; // a long chain is a deep tree
  for (let part = left.pop(); part !== undefined; part = left.pop()) {
    if (known.has(part)) continue;
    if (!isLike(part)) return false;
    for (const each of partsOf(part)) left.push(each);
  }
  return true;
}
