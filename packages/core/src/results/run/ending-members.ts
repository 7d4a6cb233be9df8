/** The members of a group as they end: each once, in bounded memory whatever the length of the group. */
import { childCounts, childPlaces } from '../../bullmq/standing.js';
import type { Store } from '../../bullmq/store.js';
import { addedInOrder } from '../../flow/added.js';
import { INTERNAL_QUEUE } from '../../flow/node.js';
import { totalOf } from '../../graph/states.js';
import type { MemberOutcome } from '../member-outcome.js';
import { type EndedMember, endedBelow, type Group } from './group.js';
import { toldOf } from './kin.js';

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
    const first = known ?? (await toldOf(this.#store, run, source)).count ?? this.#declared;
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
