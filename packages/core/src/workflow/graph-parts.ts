/** The data of a workflow graph: public nodes and edges, and the tree of parts from which they are drawn. */
import { isFinal, type JobState } from '../job/states.js';

/** State of a task in a graph: `pending` if it waits for earlier steps or is not added yet, or a custom state of the task. */
export type GraphState = JobState | 'pending' | (string & {});

/** Number of tasks by state. */
export type StateCounts = Readonly<Record<string, number>>;

/** A task of a workflow, or many members of a group that differ only in their inputs. */
export interface GraphNode {
  /** The job's id, or its path before it is sent. A node for many members has `*` instead of their indexes. */
  readonly id: string;
  readonly task: string;
  /** The display name, or the task's name. */
  readonly label: string;
  readonly queue: string;
  readonly state: GraphState;
  /** Number of ended attempts. */
  readonly attempts?: number;
  /**
   * Start of the last attempt. Of a node for several jobs, the earliest start of the jobs that were read: of more than 20 equal
   * ones, these are the first, the middle and the last one.
   */
  readonly startedAt?: Date;
  /** Of a node for several jobs, once all have ended: the latest end of the jobs that were read. */
  readonly finishedAt?: Date;
  /** Duration of the last attempt in milliseconds. */
  readonly durationMs?: number;
  /** The error message, if the task failed. */
  readonly error?: string;
  /** Number of jobs, if the node represents several. */
  readonly count?: number;
  /** Number of those jobs by state. */
  readonly counts?: StateCounts;
  /** The node represents one job for each item of a list that is not known yet. */
  readonly isEach?: true;
  /** Absent for tasks. A wait runs no handler, and does not count as a job. Its `task` is the name of an internal job. */
  readonly kind?: WaitKind;
  /** The last turn of a loop that has begun, 0 before the first one, and the maximum number of turns. */
  readonly turn?: { readonly number: number; readonly max: number };
  /** The moment at which a wait ends that has begun. Absent for a wait without end. */
  readonly until?: Date;
  /** The signal that a `waitFor` waits for, and its key from the moment at which the wait begins. */
  readonly signal?: { readonly name: string; readonly key?: string };
}

/** Kind of a step that waits. */
export type WaitKind = 'sleep' | 'loop' | 'waitFor';

/** Labels of nodes for many waits whose own labels differ. */
export const WAIT_LABEL: Readonly<Record<WaitKind, string>> = {
  sleep: 'sleep',
  loop: 'loop',
  waitFor: 'wait for a signal',
};

/** Kind of an edge. An edge without a kind connects a step with the step that waits for it. */
export type EdgeKind = 'link' | 'linkError' | 'finally' | 'fallback';

/** A connection from an earlier task to a later one, by the ids of their nodes. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly kind?: EdgeKind;
  /** The case of a match; for `when`, `then` or `otherwise`. */
  readonly label?: string;
}

// Summaries of states.

/** If all tasks have ended, their common state is the first of these that occurs. */
const FINAL_ORDER = ['failed', 'expired', 'revoked', 'unknown', 'completed', 'skipped'];

/** Returns true for states that do not change, including `unknown` for jobs that are missing from the store. */
export function hasEnded(state: string): boolean {
  return isFinal(state) || state === 'unknown';
}

/** Returns one state for many tasks. */
export function summaryOf(counts: StateCounts): GraphState {
  const states = Object.keys(counts).filter((state) => (counts[state] ?? 0) > 0);
  const [first, ...others] = states;
  if (first === undefined) return 'pending';
  if (others.length === 0) return first;
  if (states.every(hasEnded)) return FINAL_ORDER.find((state) => states.includes(state)) ?? 'completed';
  return states.includes('active') || states.some(hasEnded) ? 'active' : 'waiting';
}

/** Returns the sums of two counts. */
export function added(one: StateCounts, other: StateCounts): StateCounts {
  const sum: Record<string, number> = { ...one };
  for (const [state, count] of Object.entries(other)) sum[state] = (sum[state] ?? 0) + count;
  return sum;
}

export function totalOf(counts: StateCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

// The tree from which a graph is drawn. Planned jobs and stored jobs result in the same tree.

/** A job with the parts that it waits for. */
export interface Part {
  /** The job's id, or its path. */
  readonly id: string;
  /** The node of a user's task. Internal jobs have none: their incoming edges continue to the next task. */
  readonly node?: GraphNode;
  /** The parts that it waits for. */
  readonly before: readonly Part[];
  readonly adds?: Adds;
  readonly followers?: readonly Follower[];
  /** Number of members of its group that the part represents. */
  readonly times?: number;
  /** The id of the member that added it to the group. */
  readonly addedBy?: string;
  /** The number of members is not known yet. */
  readonly isOpen?: true;
}

/** The parts that a fan-out adds. They come after the parts that the fan-out waits for. */
export interface Adds {
  /** The id of the part that waits for the added parts. */
  readonly below: string;
  readonly parts: readonly Added[];
  /** Edges into the fan-out continue to the part that waits for it. */
  readonly passes?: true;
  /** The fan-out may add nothing; then it passes its value on. */
  readonly isOptional?: true;
  /** A step below the fan-out decides what is added, so only that step comes before the added parts. */
  readonly isDecided?: true;
}

export interface Added {
  readonly part: Part;
  readonly label?: string;
  readonly chance: Chance;
}

/** Whether a part becomes jobs if nothing fails: certainly, as one of several branches, or not. */
type Chance = 'sure' | 'choice' | 'none';

/** A callback or the other step of a fallback, which follows a job without being its next step. */
export interface Follower {
  readonly part: Part;
  readonly kind?: EdgeKind;
  readonly chance: Chance;
  /** The next step of the job also follows this part (`also`), or only this part (`instead`). Absent: no step follows it. */
  readonly joins?: 'also' | 'instead';
}

/** Returns a copy of the part with each of its direct parts replaced. */
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

/** Returns the direct parts of a part, in a fixed order. */
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
