/** This module reads members of groups for a graph: few members one by one; of many, it reads samples and counts all. */

import { isPlainObject } from '../../base/text.js';
import type { JobRef } from '../../job/job.js';
import { type Expansion, type JobNode, jobIdOf, nodesOf, SLICE } from '../../job/job-tree.js';
import { childCounts, childPlaces, readJob, runningIds } from '../../store/read.js';
import { jobOutcomeOf } from '../../store/results.js';
import type { Store } from '../../store/store.js';
import type { ChildPlace } from '../../store/tree.js';
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
import { FOLD, nodeShapeOf, repeated } from '../../workflow/graph-tally.js';
import { PROBE } from '../../workflow/join.js';
import { byPath, type ClassifiedChildren } from './relatives.js';

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
    const found = await Promise.all(ends.map((slice) => childPlaces(this.#store, slice)));
    const members = found.flat().sort(byPath);
    const samples = await this.#samples(members);
    const [sample] = samples;
    if (sample === undefined) return [];
    let states: StateCounts = {};
    for (let start = 0; start < slices.length; start += AT_ONCE) {
      const some = slices.slice(start, start + AT_ONCE).map((slice) => this.#statesIn(slice, sample));
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
    const sample: Part =
      node === undefined || label === undefined ? first : { ...first, node: { ...node, label } };
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

  async #statesIn(slice: ChildPlace, sample: Part): Promise<StateCounts> {
    const known = this.#ended.get(slice.id);
    if (known !== undefined) return known;
    const { unprocessed, processed, ignored } = await childCounts(this.#store, slice);
    const failed = ignored === 0 ? {} : await this.#failedIn(slice, ignored, sample);
    const counts = [{ [waitingState(sample)]: unprocessed, completed: processed }, failed].reduce(added);
    const total = unprocessed + processed + ignored;
    const states = total === 0 ? { unknown: SLICE } : counts; // the slice is missing
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

  /** Returns the number of running jobs of members, by id with `*` instead of the index. */
  async #runningIn(list: string, sample: Part): Promise<ReadonlyMap<string, number>> {
    const running = new Map<string, number>();
    for (const queue of queuesOf(sample)) {
      const ids = this.#running.get(queue) ?? runningIds(this.#store, queue);
      this.#running.set(queue, ids);
      for (const id of await ids) {
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
