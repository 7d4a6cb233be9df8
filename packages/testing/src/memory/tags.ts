/** The index of tags that Umbel keeps in a store, beyond BullMQ's contract: which jobs bear which tags. */
import { type Scored, SortedSet } from './collections.js';

/** Where something is that bears a tag, and when it was noted. */
export interface TaggedEntry {
  readonly queue: string;
  readonly id: string;
  readonly at: number;
}

export interface TagNote extends TaggedEntry {
  readonly tags: readonly string[];
  readonly checkAt: number;
}

/** What is known of the job of a note: whether it is there, and when and how it has ended. */
export interface NotedJob {
  readonly finishedOn: number | undefined;
  readonly hasFailed: boolean;
}

const MINUTE_MS = 60_000;
/** As on Redis: the intervals at which a note is due again whose job is there. */
const SOON_MS = 10 * MINUTE_MS;
const OVERDUE_MS = 30 * MINUTE_MS;
const LONGEST_MS = 1440 * MINUTE_MS;
const AGE_SHARE = 8;

/** An entry of one tag. */
interface Entry extends Scored {
  readonly entry: TaggedEntry;
}

/** A note that is due at its score. */
interface DueNote extends Scored {
  readonly note: TagNote;
}

export class TagEntries {
  readonly #tags = new Map<string, { readonly set: SortedSet<Entry>; readonly byId: Map<string, Entry> }>();
  readonly #due = new SortedSet<DueNote>();
  readonly #notes = new Map<string, DueNote>();

  /** How many entries and notes there are. */
  get size(): number {
    let size = this.#due.size;
    for (const { set } of this.#tags.values()) size += set.size;
    return size;
  }

  note(notes: readonly TagNote[]): void {
    for (const note of notes) {
      const { queue, id, at, tags, checkAt } = note;
      const place = `${queue}/${id}`;
      const key = `${at} ${place} ${tags.join('')}`;
      const known = this.#notes.get(key);
      if (known !== undefined) this.#due.remove(known);
      const due = known ?? { id: key, score: 0, note };
      this.#notes.set(key, due);
      this.#due.add(due, checkAt);
      for (const tag of tags) this.#add(tag, `${at} ${place}`, place, { queue, id, at });
    }
  }

  /** The latest first, from an entry on, or behind it. */
  find(tag: string, limit: number, from: TaggedEntry | undefined, isBehind: boolean): TaggedEntry[] {
    const set = this.#tags.get(tag)?.set;
    if (set === undefined) return [];
    if (from === undefined) return set.reverseRange(0, limit - 1).map(({ entry }) => entry);
    const start = { id: `${from.queue}/${from.id}`, score: from.at };
    return set.before(start, limit, !isBehind).map(({ entry }) => entry);
  }

  /** Looks at notes that are due; gives how many. */
  check(
    now: number,
    limit: number,
    { completedMs, failedMs }: { readonly completedMs: number; readonly failedMs: number },
    jobOf: (queue: string, id: string) => NotedJob | undefined,
  ): number {
    const due = this.#due.upTo(now, limit);
    for (const each of due) {
      this.#due.remove(each);
      const { queue, id, at } = each.note;
      const job = jobOf(queue, id);
      if (job === undefined) this.#forget(each);
      else if (job.finishedOn === undefined)
        this.#due.add(each, now + Math.min(Math.max((now - at) / AGE_SHARE, SOON_MS), LONGEST_MS));
      else {
        const next = job.finishedOn + (job.hasFailed ? failedMs : completedMs) + 1000;
        this.#due.add(each, next > now ? next : now + OVERDUE_MS);
      }
    }
    return due.length;
  }

  #add(tag: string, key: string, place: string, entry: TaggedEntry): void {
    let of = this.#tags.get(tag);
    if (of === undefined) {
      of = { set: new SortedSet<Entry>(), byId: new Map() };
      this.#tags.set(tag, of);
    }
    if (of.byId.has(key)) return;
    const item: Entry = { id: place, score: 0, entry };
    of.byId.set(key, item);
    of.set.add(item, entry.at);
  }

  #forget({ id: key, note: { queue, id, at, tags } }: DueNote): void {
    this.#notes.delete(key);
    for (const tag of tags) {
      const of = this.#tags.get(tag);
      const item = of?.byId.get(`${at} ${queue}/${id}`);
      if (of === undefined || item === undefined) continue;
      of.byId.delete(`${at} ${queue}/${id}`);
      of.set.remove(item);
      if (of.set.size === 0) this.#tags.delete(tag);
    }
  }
}
