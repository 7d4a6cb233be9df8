/** How many jobs a run makes, and where they stand. */
import { countsOf } from './fold.js';
import type { StateCounts } from './node.js';
import type { Added, Follower, Part } from './part.js';
import { added, hasEnded, totalOf } from './states.js';

/** The user's tasks of a run by state. Members that are compositions count step by step. */
export interface RunCounts {
  /** As far as they are known: at the least, while a fan-out has not run. */
  readonly total: number;
  /** Those that have ended in any way. */
  readonly done: number;
  readonly completed: number;
  readonly failed: number;
  readonly expired: number;
  readonly revoked: number;
  readonly skipped: number;
  readonly active: number;
  readonly waiting: number;
  readonly delayed: number;
  /** Waiting for earlier tasks, or not added yet. */
  readonly pending: number;
  /** Gone from the store. */
  readonly unknown: number;
}

/** Jobs of a user's tasks. */
export interface Tally {
  readonly jobs: number;
  /** False if there may be more. */
  readonly isExact: boolean;
  readonly states: StateCounts;
}

const NONE: Tally = { jobs: 0, isExact: true, states: {} };

/** The jobs of a part; with those that follow the run, if asked for. Nothing is expected to fail. */
export function tallyOf(part: Part, withCallbacks = false): Tally {
  let tally = NONE;
  const left = [part]; // a long chain is a deep tree
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    tally = sum(tally, ownTally(next, withCallbacks));
    for (const part of next.before) left.push(part); // too many for the arguments of one call
  }
  return tally;
}

/** The jobs of a part without those that it waits for. */
function ownTally({ node, adds, followers = [], isOpen }: Part, withCallbacks: boolean): Tally {
  const all = (parts: readonly Part[]) => parts.map((each) => tallyOf(each, withCallbacks));
  const states = node === undefined ? {} : countsOf(node);
  const own: Tally = {
    jobs: totalOf(states),
    isExact: !isOpen && !node?.isEach,
    states,
  };
  const sure = (follower: Follower) =>
    follower.chance === 'sure' && (withCallbacks || follower.joins !== undefined);
  const tallies = [own, ...all(followers.filter(sure).map((follower) => follower.part))];
  if (adds !== undefined) {
    const of = (chance: Added['chance']) =>
      all(adds.parts.filter((each) => each.chance === chance).map((each) => each.part));
    const choices = of('choice');
    if (adds.isOptional) choices.push(NONE);
    for (const tally of of('sure')) tallies.push(tally);
    tallies.push(least(choices));
  }
  return tallies.reduce(sum, NONE);
}

/** The counts of a run. */
export function runCountsOf(part: Part): RunCounts {
  const { jobs, states } = tallyOf(part);
  const of = (state: string) => states[state] ?? 0;
  const done = totalOf(Object.fromEntries(Object.entries(states).filter(([state]) => hasEnded(state))));
  const pending = of('pending') + of('waiting-children');
  return {
    total: jobs,
    done,
    completed: of('completed'),
    failed: of('failed'),
    expired: of('expired'),
    revoked: of('revoked'),
    skipped: of('skipped'),
    active: jobs - done - pending - of('waiting') - of('delayed'), // a state of the task's own is one of those that run
    waiting: of('waiting'),
    delayed: of('delayed'),
    pending,
    unknown: of('unknown'),
  };
}

function sum(one: Tally, other: Tally): Tally {
  const states = added(one.states, other.states);
  return { jobs: one.jobs + other.jobs, isExact: one.isExact && other.isExact, states };
}

/** The one with the fewest jobs. */
function least(tallies: readonly Tally[]): Tally {
  const [first, ...others] = tallies;
  if (first === undefined) return NONE;
  const fewest = others.reduce((one, other) => (other.jobs < one.jobs ? other : one), first);
  return { ...fewest, isExact: tallies.every(({ jobs, isExact }) => isExact && jobs === fewest.jobs) };
}
