/** The members of a group as they end: each once, in bounded memory whatever the length of the group. */

import { recordOf } from '../../codec/error-record.js';
import type { JobRef } from '../../job/job.js';
import { INTERNAL_QUEUE } from '../../job/job-tree.js';
import { childCounts, childPlaces } from '../../store/read.js';
import type { Store } from '../../store/store.js';
import { wasSkipped } from '../../store/stored-job.js';
import type { ChildPlace } from '../../store/tree.js';
import { addedInOrder } from '../../workflow/added-members.js';
import { totalOf } from '../../workflow/graph-parts.js';
import type { CollectedTask, MemberOutcome } from '../async-result.js';
import { type EndedMember, endedBelow, type Group } from './group.js';
import { byPath, streamedOf } from './relatives.js';

/** A job with members below it, and which of them were given. */
interface Holder {
  readonly id: string;
  readonly given: Set<string>;
  /** Members that had ended when it was last read. */
  ended: number;
}

export class EndingMembers {
  readonly #store: Store;
  readonly #group: Group;
  readonly #join: Holder;
  /** Slices in which members have not ended. */
  readonly #slices = new Map<number, Holder>();
  #nextSlice = 0;
  /** Members that others have added: their places are known in the end. */
  readonly #added: EndedMember[] = [];
  #declared = 0;
  #joined = 0;
  readonly #queues = new Set([INTERNAL_QUEUE]);

  constructor(store: Store, group: Group) {
    this.#store = store;
    this.#group = group;
    this.#join = { id: group.join.id, given: new Set(), ended: 0 };
  }

  /** The queues that are known to hold members. */
  get queues(): ReadonlySet<string> {
    return this.#queues;
  }

  /** The jobs that may have members that were not given. */
  async holders(): Promise<readonly Holder[]> {
    const joined = totalOf(await this.#counts(this.#join.id));
    if (joined !== this.#joined) await this.#learnQueues(this.#join.id);
    this.#joined = joined;
    for (;;) {
      const id = `${this.#group.list}/${this.#nextSlice}`;
      if (totalOf(await this.#counts(id)) === 0) break;
      await this.#learnQueues(id);
      this.#slices.set(this.#nextSlice, { id, given: new Set(), ended: 0 });
      this.#nextSlice += 1;
    }
    return [this.#join, ...this.#slices.values()];
  }

  /** Those below a job that have ended since the last time. */
  async fresh(holder: Holder): Promise<MemberOutcome<unknown>[]> {
    const { unprocessed, processed, ignored } = await this.#counts(holder.id);
    const count = processed + ignored;
    if (count === holder.ended) return [];
    const members = await endedBelow(this.#store, this.#group, holder.id);
    const others = members.filter(({ id }) => !holder.given.has(id));
    const outcomes: MemberOutcome<unknown>[] = [];
    for (const member of others)
      if (member.index !== undefined) outcomes.push(await member.read(member.index));
    // Nothing below may fail: what was read is given.
    for (const member of others) {
      holder.given.add(member.id);
      if (member.index === undefined) this.#added.push(member);
      else this.#declared += 1;
    }
    holder.ended = count;
    if (unprocessed === 0 && holder !== this.#join) this.#close(holder);
    return outcomes.sort((one, other) => one.index - other.index);
  }

  /** In the end, those that other members have added. */
  async added(): Promise<MemberOutcome<unknown>[]> {
    if (this.#added.length === 0) return [];
    const { run, source } = this.#group;
    const known = 'record' in source ? source.keys.length : source.count;
    const first = known ?? (await streamedOf(this.#store, run, source)).count ?? this.#declared;
    const members = new Map(this.#added.map((member) => [member.id, member]));
    const ids = addedInOrder(this.#group.list, [...members.keys()]);
    const outcomes = ids.map((id, turn) => members.get(id)?.read(first + turn));
    return Promise.all(outcomes.filter((outcome) => outcome !== undefined));
  }

  async #learnQueues(id: string): Promise<void> {
    const children = await childPlaces(this.#store, { queue: INTERNAL_QUEUE, id });
    for (const { queue } of children) this.#queues.add(queue);
  }

  #close(slice: Holder): void {
    for (const [index, each] of this.#slices) if (each === slice) this.#slices.delete(index);
  }

  #counts(id: string) {
    return childCounts(this.#store, { queue: INTERNAL_QUEUE, id });
  }
}

// The tasks of a run as they end, each once.

/** Tasks that are given at once. */
const BATCH = 100;

/** Jobs that are asked at once. */
const AT_ONCE = 20;

/** A job that may have something left to give below it. */
interface Open {
  readonly place: JobRef;
  isGiven: boolean;
  /** Children that had ended when they were last read. */
  ended: number;
  readonly open: Map<string, Open>;
  /** Children with nothing left. */
  readonly closed: Set<string>;
}

export class EndingTasks {
  readonly #store: Store;
  readonly #root: Open;
  #found: CollectedTask[] = [];
  /** The queues that are known to hold tasks of the run. */
  readonly queues = new Set([INTERNAL_QUEUE]);

  constructor(store: Store, place: JobRef) {
    this.#store = store;
    this.#root = opened(place);
  }

  /** Those that have ended since the last time, some of them at once: there may be more until none is given. */
  async fresh(isOver: boolean): Promise<CollectedTask[]> {
    await this.#visit(this.#root, isOver);
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** Gives what has ended; true if nothing is left. */
  async #visit(job: Open, hasEnded: boolean): Promise<boolean> {
    await this.#visitBelow(job);
    if (!hasEnded || this.#isFull()) return false;
    if (!job.isGiven) {
      const outcome = await this.#outcomeOf(job.place);
      // A visit that was given up may have gone on meanwhile.
      if (outcome !== undefined && !job.isGiven) this.#found.push(outcome);
      job.isGiven = true;
    }
    return job.open.size === 0;
  }

  async #visitBelow(job: Open): Promise<void> {
    const { unprocessed, processed, ignored } = await childCounts(this.#store, job.place);
    const ended = processed + ignored;
    const isSlice = /\/\d+$/.test(job.place.id);
    if (
      unprocessed + ended === 0 ||
      (ended === job.ended && (isSlice || unprocessed === 0) && job.open.size === 0)
    )
      return;
    const children = (await childPlaces(this.#store, job.place)).sort(byPath);
    for (const { queue } of children) this.queues.add(queue);
    const left = children.filter(
      ({ id, kind }) => !job.closed.has(id) && !(isSlice && kind === 'unprocessed'),
    );
    for (let start = 0; start < left.length; start += AT_ONCE) {
      const some = left.slice(start, start + AT_ONCE);
      await Promise.all(some.map((child) => this.#visitChild(job, child)));
      if (this.#isFull()) return;
    }
    job.ended = ended;
  }

  async #visitChild(job: Open, child: ChildPlace): Promise<void> {
    const below = job.open.get(child.id) ?? opened(child);
    job.open.set(child.id, below);
    if (!(await this.#visit(below, child.kind !== 'unprocessed'))) return;
    job.open.delete(child.id);
    job.closed.add(child.id);
  }

  #isFull(): boolean {
    return this.#found.length >= BATCH;
  }

  /** Absent for internal jobs, for tasks that were skipped, and for what is gone from the store. */
  async #outcomeOf({ queue, id }: JobRef): Promise<CollectedTask | undefined> {
    if (queue === INTERNAL_QUEUE) return undefined;
    const job = await this.#store.job(queue, id);
    if (job === undefined) return undefined;
    const outcome = await this.#store.outcome(queue, id);
    const { name: task } = job;
    if (outcome.kind === 'completed' && wasSkipped(job.envelope)) return undefined;
    if (outcome.kind === 'completed') return { id, task, ok: true, value: outcome.value };
    if (outcome.kind !== 'failed' || outcome.failure.state === 'skipped') return undefined;
    return { id, task, ok: false, error: recordOf(outcome.failure) };
  }
}

function opened({ queue, id }: JobRef | ChildPlace): Open {
  return { place: { queue, id }, isGiven: false, ended: 0, open: new Map(), closed: new Set() };
}
