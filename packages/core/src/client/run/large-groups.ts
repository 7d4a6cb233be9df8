/** Members of groups as parts of a graph: a few are read one by one; of many, some are, and all are counted. */

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
import { FOLD, repeated, shapeOf } from '../../workflow/graph-tally.js';
import { PROBE } from '../../workflow/join.js';
import { byPath, type ClassifiedChildren } from './relatives.js';

/** Members of different shapes that are read one by one. */
const MAX_EACH = 100;

/** Jobs that are asked at once. */
const AT_ONCE = 20;

/** Failed members that are read in one reading of a run, to tell how they failed. The others count as failed. */
const MAX_FAILED = 100;

export class LargeGroups {
  readonly #store: Store;
  readonly #read: (place: ChildPlace) => Promise<Part>;
  /** Counts of slices in which nothing changes any more. */
  readonly #ended = new Map<string, StateCounts>();
  #running = new Map<string, Promise<readonly string[]>>();
  #failedLeft = MAX_FAILED;

  constructor(store: Store, read: (place: ChildPlace) => Promise<Part>) {
    this.#store = store;
    this.#read = read;
  }

  /** A new reading of the run begins. */
  begin(): void {
    this.#running = new Map();
    this.#failedLeft = MAX_FAILED;
  }

  /** The members of the group that a job waits for; `isOver` if it waits no more. */
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

  /** The first, the last and one between them. */
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

  /** One part in the place of members in these states. */
  async #many(list: string, samples: readonly Part[], states: StateCounts): Promise<Part> {
    const [first] = samples as readonly [Part]; // there is one at least
    const { node } = first;
    const labels = new Set(samples.map((sample) => sample.node?.label));
    const tasks = new Set(samples.map((sample) => sample.node?.task));
    const label = labels.size === 1 ? node?.label : [...tasks].join(', ');
    const sample: Part =
      node === undefined || label === undefined ? first : { ...first, node: { ...node, label } };
    return repeated(sample, states, await this.#runningIn(list, sample));
  }

  /** The states of members, going by what the job that waits for them knows. */
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
    const states = total === 0 ? { unknown: SLICE } : counts; // it is gone
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

  /** How many of the members' jobs run now, by their ids with `*` in the place of the index. */
  async #runningIn(list: string, sample: Part): Promise<ReadonlyMap<string, number>> {
    const running = new Map<string, number>();
    for (const queue of queuesOf(sample)) {
      const ids = this.#running.get(queue) ?? runningIds(this.#store, queue);
      this.#running.set(queue, ids);
      for (const id of await ids) {
        if (!id.startsWith(`${list}.`)) continue;
        const own = `${list}.*${id.slice(list.length + 1).replace(/^\d+/, '')}`;
        running.set(own, (running.get(own) ?? 0) + 1);
      }
    }
    return running;
  }
}

/** How members are that have not ended and do not run: one that waits for other jobs is not started yet. */
function waitingState(sample: Part): string {
  return sample.node !== undefined && partsOf(sample).length === 0 ? 'waiting' : 'pending';
}

function isProbe({ id }: ChildPlace): boolean {
  return id.endsWith('!');
}

function isSame(parts: readonly Part[]): boolean {
  return new Set(parts.map(shapeOf)).size === 1;
}

/** The queues of the tasks in a part. */
export function queuesOf(part: Part): ReadonlySet<string> {
  const own = part.node === undefined ? [] : [part.node.queue];
  return new Set([...own, ...partsOf(part).flatMap((each) => [...queuesOf(each)])]);
}

// What stored fan-outs have added, or will add.

/** The children of a job that some of them have added. */
interface AddedChildren {
  /** By the id of the fan-out. */
  readonly parts: ReadonlyMap<string, readonly Part[]>;
  /** The ids of all the children. */
  readonly ids: ReadonlySet<string>;
  /** What adds them had ended before they were listed, so none is missing. */
  readonly isWhole: boolean;
  /** The job that waits for them has ended: no others are added. */
  readonly isOver: boolean;
}

/** By the id of the job that waits for them. */
export type Given = ReadonlyMap<string, AddedChildren>;

interface FanOut extends JobRef {
  readonly run: string;
  readonly state: string;
  readonly expand: Expansion;
}

/** What a fan-out adds, with those parts that it has added. */
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
    const taken = await takenBy(store, fanOut);
    const branches = planned.parts.map((branch, index): Added => {
      const [part] = index === taken ? parts : [];
      return part === undefined ? { ...branch, chance: 'none' } : { ...branch, part, chance: 'sure' };
    });
    // With no branch, its value has gone on.
    return { ...adds, parts: branches, ...(taken === undefined && isOptional && { isOptional }) };
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

/** Whether a fan-out that has not ended has added a node already. */
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

/** Which of its branches a fan-out has taken; undefined if none. */
async function takenBy(store: Store, { queue, id }: JobRef): Promise<number | undefined> {
  const outcome = await jobOutcomeOf(store, { queue, id });
  const told = outcome.kind === 'completed' && isPlainObject(outcome.value) ? outcome.value.taken : undefined;
  return typeof told === 'number' ? told : undefined;
}
