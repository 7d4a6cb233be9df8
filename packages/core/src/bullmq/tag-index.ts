/**
 * Which calls and runs bear a tag. A note is written before what it names is stored, with the moment in which it is looked
 * at next: once what it names is gone from the store, so is the note. What waits or runs keeps its note, however long that
 * takes, so the index is as large as what lives, and not as what was ever sent.
 *
 * On Redis a sender only puts notes into a queue, those of one turn of its event loop in one command. Workers move them
 * into the index with each repair, whoever searches does so before, and senders do once many are queued.
 */
import { createHash } from 'node:crypto';
import { randomId } from '../random-id.js';
import { type TaggedEntry, type TagNote, type TagPrimitives, tagPrimitivesOf } from './primitives/tags.js';
import { moveNotes, NoteBatches, type Noting, pushNotes, type TextNote } from './queued-tag-notes.js';
import type { Store } from './store.js';
import { TAG_QUEUE, TagsByDay } from './tags-by-day.js';
import type { JobPlace } from './tree.js';

/** Where something is that bears a tag, and where that is noted: at a moment, or in the older form in a line of a day. */
export interface TaggedPlace extends JobPlace {
  readonly mark: TagMark;
}

export type TagMark = TaggedEntry | DayMark;

interface DayMark {
  readonly day: number;
  readonly line: number;
}

/** Where a search goes on. */
export interface TagPosition {
  readonly mark: TagMark;
  /** Behind it, and not with it. */
  readonly isBehind: boolean;
}

/** How long what has ended is kept. */
export interface Keeping {
  readonly completedMs: number;
  readonly failedMs: number;
}

/** What is added of one call or run. */
export interface Tagged {
  /** Each once. */
  readonly tags: Iterable<string>;
  readonly place: JobPlace;
  /** How long it is to wait before it starts. */
  readonly delayMs?: number | undefined;
}

const PAGE = 1000;
/** Tags of one note: it is taken away in one command. */
const NOTE_TAGS = 20;
/** Tags that are written in one command. */
const COMMAND_TAGS = 500;
/** Notes that are looked at in one command. Of 20 tags each, it takes some 3 ms where there are 400,000 entries. */
const LOOKED_AT = 25;
/** A sender looks at as many notes as it adds, twice over, so it takes away more than it adds. */
const ADDED_BETWEEN = 12;
/** An entry is there before what it names, which a store that is away may keep waiting. */
const FIRST_LOOK_MS = 600_000;
/** Hashes that are remembered. */
const REMEMBERED = 1000;
/** Notes that may be queued before senders move them into the index too: who searches waits for all of them. */
const MAX_QUEUED = 5000;
/** Then a sender moves this many for each that it adds. */
const MOVED_FOR_ONE = 2;

export class TagIndex {
  readonly #store: Store;
  readonly #keeping: Keeping;
  readonly #byDay: TagsByDay;
  readonly #hashes = new Map<string, string>();
  /** Notes that may be added before some are looked at. */
  #untilLook = 0;
  readonly #batches = new NoteBatches((notes) => this.#write(notes));
  /** Of the notes that this process queues. */
  readonly #process = randomId().slice(0, 8);
  #queued = 0;

  constructor(store: Store, keeping: Keeping) {
    this.#store = store;
    this.#keeping = keeping;
    this.#byDay = new TagsByDay(store, Math.max(keeping.completedMs, keeping.failedMs));
  }

  /** Adds a call or a run. One that is in the store is always found. */
  async add(tags: Iterable<string>, place: JobPlace, now: number): Promise<void> {
    const noting = this.addAll([{ tags, place }], now);
    await noting?.issued;
    await noting?.done();
  }

  /** The same of several, and of all that others add in this turn; undefined if none of them bears a tag. */
  addAll(all: readonly Tagged[], now: number): Noting | undefined {
    const notes = all.flatMap((tagged) => this.#notesOf(tagged, now));
    return notes.length === 0 ? undefined : this.#batches.add(notes);
  }

  /** Moves what is queued into the index, and takes away all entries of what is gone. To be called now and then. */
  async clean(now: number): Promise<void> {
    await this.#moveQueued(Number.POSITIVE_INFINITY);
    while (!this.#store.closed.aborted && (await this.#look(now)) === LOOKED_AT);
    await this.#byDay.clean();
  }

  /** What was sent with a tag, the latest first; some of it may be gone from the store. */
  async *find(tag: string, now: number, from?: TagPosition): AsyncGenerator<TaggedPlace> {
    const hash = this.#hashOf(tag);
    await this.#moveQueued(Number.POSITIVE_INFINITY);
    if (from === undefined || 'at' in from.mark)
      yield* this.#noted(hash, from as (TagPosition & { mark: { at: number } }) | undefined);
    const day = from !== undefined && 'day' in from.mark ? from.mark : undefined;
    const line = day && { day: day.day, line: day.line + Number(from?.isBehind) };
    for await (const { queue, id, ...mark } of this.#byDay.find(hash, now, line)) yield { queue, id, mark };
  }

  /** Those of the store's own index. */
  async *#noted(hash: string, from: TagPosition | undefined): AsyncGenerator<TaggedPlace> {
    // A call that was sent twice is noted twice.
    const seen = new Set<string>();
    let last = from !== undefined && 'at' in from.mark ? from.mark : undefined;
    let isBehind = from?.isBehind ?? true;
    for (;;) {
      const page = await this.#with((primitives) => primitives.findTagged(hash, PAGE, last, isBehind));
      for (const entry of page ?? []) {
        const { queue, id } = entry;
        last = entry;
        const key = `${queue}/${id}`;
        if (seen.has(key)) continue;
        seen.add(key);
        yield { queue, id, mark: entry };
      }
      isBehind = true;
      if (page === undefined || page.length < PAGE) return;
    }
  }

  /** Writes notes before what they name is stored. */
  async #write(notes: readonly TextNote[]): Promise<void> {
    const isNoted = await this.#with(async (primitives) => {
      const { noteQueue } = primitives;
      if (noteQueue === undefined) {
        this.#lookNowAndThen(notes);
        await this.#noteIn(primitives, notes);
      } else if ((await pushNotes(noteQueue, notes, this.#mark)) > MAX_QUEUED) {
        // Nobody waits for it, and what it misses the next one finds.
        void this.#moveQueued(MOVED_FOR_ONE * notes.length).catch(() => {});
        this.#lookNowAndThen(notes);
      }
      return true;
    });
    if (!isNoted) await this.#noteByDay(notes);
  }

  readonly #mark = (): string => {
    this.#queued += 1;
    return `${this.#process}${this.#queued.toString(36)}`;
  };

  async #noteByDay(notes: readonly TextNote[]): Promise<void> {
    for (const { tags, queue, id, at } of notes) {
      const hashes = tags.map((tag) => this.#hashOf(tag));
      await this.#byDay.add(hashes, { queue, id }, at);
    }
    if (this.#isLookDue(notes)) await this.#byDay.clean();
  }

  /** Looks at what is due, beside the command that adds: what it misses the next one finds. */
  #lookNowAndThen(notes: readonly TextNote[]): void {
    if (this.#isLookDue(notes)) void this.#look(notes.at(-1)?.at ?? 0).catch(() => {});
  }

  #isLookDue({ length }: readonly TextNote[]): boolean {
    this.#untilLook -= length;
    if (this.#untilLook > 0) return false;
    this.#untilLook = ADDED_BETWEEN;
    return true;
  }

  /** Moves queued notes into the index, at most so many and those that are there now. */
  async #moveQueued(limit: number): Promise<void> {
    await this.#with(async (primitives) => {
      const { noteQueue } = primitives;
      if (noteQueue !== undefined)
        await moveNotes(noteQueue, limit, (notes) => this.#noteIn(primitives, notes));
    });
  }

  async #noteIn(primitives: TagPrimitives, notes: readonly TextNote[]): Promise<void> {
    const hashed = notes.map((note) => ({ ...note, tags: note.tags.map((tag) => this.#hashOf(tag)) }));
    for (const some of inCommands(hashed)) await primitives.noteTags(some);
  }

  /** The number of notes that were looked at. */
  async #look(now: number): Promise<number> {
    return (await this.#with((primitives) => primitives.checkTags(now, LOOKED_AT, this.#keeping))) ?? 0;
  }

  /** What the store's own index gives; undefined if it has none. */
  #with<T>(command: (primitives: TagPrimitives) => Promise<T>): Promise<T | undefined> {
    return this.#store.on(TAG_QUEUE, async (bull) => {
      const primitives = tagPrimitivesOf(bull.getBackend());
      return primitives && command(primitives);
    });
  }

  #notesOf({ tags: given, place: { queue, id }, delayMs = 0 }: Tagged, now: number): TextNote[] {
    const tags = Array.isArray(given) ? (given as readonly string[]) : [...given];
    const { completedMs, failedMs } = this.#keeping;
    const checkAt = now + delayMs + Math.max(Math.min(completedMs, failedMs), FIRST_LOOK_MS);
    const notes: TextNote[] = [];
    for (let start = 0; start < tags.length; start += NOTE_TAGS)
      notes.push({ tags: tags.slice(start, start + NOTE_TAGS), queue, id, at: now, checkAt });
    return notes;
  }

  /** Hashed: tags may be any text. */
  #hashOf(tag: string): string {
    const known = this.#hashes.get(tag);
    if (known !== undefined) return known;
    if (this.#hashes.size >= REMEMBERED) this.#hashes.clear();
    const hash = createHash('sha256').update(tag).digest('base64url').slice(0, 32);
    this.#hashes.set(tag, hash);
    return hash;
  }
}

function* inCommands(notes: readonly TagNote[]): Generator<readonly TagNote[]> {
  let some: TagNote[] = [];
  let count = 0;
  for (const note of notes) {
    some.push(note);
    count += note.tags.length;
    if (count < COMMAND_TAGS) continue;
    yield some;
    some = [];
    count = 0;
  }
  if (some.length > 0) yield some;
}
