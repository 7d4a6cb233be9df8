/**
 * This module is the index from tags to calls and runs. A note is written before its job is stored, with the time of its
 * next check: a check removes the note if the job is missing. Waiting and running jobs keep their notes, so the size of the
 * index depends on the stored jobs, not on all jobs ever sent.
 *
 * On Redis, notes are added to a queue first (`tag-notes.ts`): those of calls by the command that adds the job, the others with
 * one command for each turn of the event loop. Workers move them into the index with each repair, and senders do so when many
 * notes are queued; of several that move the same notes, all but one pause. Who needs all jobs with a tag moves them first; a
 * search for a list reads the latest queued notes instead.
 */

import { performance, setTimeout } from '../base/real-timers.js';
import { digestId, randomId } from '../job/ids.js';
import type { JobRef } from '../job/job.js';
import { type JobNode, searchLabelsOf } from '../job/job-tree.js';
import { TAG_QUEUE } from './engine/commands.js';
import {
  type TaggedEntry,
  type TagNote,
  type TagNoteQueue,
  type TagPrimitives,
  tagPrimitivesOf,
} from './primitives/tags.js';
import { taskTerms } from './search-terms.js';
import type { Store } from './store.js';
import {
  COMMAND_TAGS,
  moveNotes,
  NoteBatches,
  type Noting,
  notesIn,
  pushNotes,
  splitNote,
  type TextNote,
} from './tag-notes.js';

// An index by day, built from BullMQ's contract, for stores without an index of tags and for notes of older versions. For
// each tag and day the store holds a job that never runs, in a queue that no worker serves; the lines of its log are the
// notes. Old days are removed as a whole, so jobs that wait for longer than the retention are not found.

const DAY_MS = 86_400_000;
/** Maximum number of notes of a tag and day. */
const KEPT_LINES = 100_000;
const DAY_PAGE = 1000;

/** A tagged call or run, with the position of its note. */
export interface PlaceOfDay extends JobRef {
  /** Days since 1970, and the line in that day. */
  readonly day: number;
  readonly line: number;
}

export class TagsByDay {
  readonly #store: Store;
  readonly #keepMs: number;

  /** @param keepMs Maximum retention of ended jobs. */
  constructor(store: Store, keepMs: number) {
    this.#store = store;
    this.#keepMs = keepMs;
  }

  /** Adds a call or a run to the day of each tag. @param tags Hashes of the tags. */
  async add(tags: readonly string[], { queue, id }: JobRef, now: number): Promise<void> {
    const day = Math.floor(now / DAY_MS);
    for (const tag of tags) {
      const entry = entryId(tag, day);
      await this.#store.on(TAG_QUEUE, async (bull) => {
        await bull.add('tag', { umbel: 1, input: { tag } }, { jobId: entry, delay: this.#keepMs + DAY_MS });
        await bull.getBackend().addLog(entry, `${queue}/${id}`, KEPT_LINES);
      });
    }
  }

  /** Removes old days. */
  async clean(): Promise<void> {
    for (let removed = DAY_PAGE; removed === DAY_PAGE && !this.#store.closed.aborted; )
      removed = (
        await this.#store.on(TAG_QUEUE, (bull) => bull.clean(this.#keepMs + DAY_MS, DAY_PAGE, 'delayed'))
      ).length;
  }

  /** Yields calls and runs with a tag, the latest day first, from a line of a day on. */
  async *find(tag: string, now: number, from?: { day: number; line: number }): AsyncGenerator<PlaceOfDay> {
    const [days = 0] = await this.#store.on(TAG_QUEUE, (bull) => bull.getBackend().getCounts(['delayed']));
    if (days === 0) return;
    const today = Math.floor(now / DAY_MS);
    const first = Math.floor((now - this.#keepMs) / DAY_MS);
    for (let day = Math.min(today, from?.day ?? today); day >= first; day -= 1) {
      yield* this.#ofDay(entryId(tag, day), day, day === from?.day ? from.line : 0);
    }
  }

  async *#ofDay(entry: string, day: number, firstLine: number): AsyncGenerator<PlaceOfDay> {
    const seen = new Set<string>();
    for (let start = firstLine; ; start += DAY_PAGE) {
      const { logs } = await this.#store.on(TAG_QUEUE, (bull) =>
        bull.getJobLogs(entry, start, start + DAY_PAGE - 1),
      );
      for (const [index, line] of logs.entries()) {
        if (seen.has(line)) continue;
        seen.add(line);
        const slash = line.indexOf('/');
        yield { queue: line.slice(0, slash), id: line.slice(slash + 1), day, line: start + index };
      }
      if (logs.length < DAY_PAGE) return;
    }
  }
}

function entryId(tag: string, day: number): string {
  return `${tag}.${day}`;
}

/** A tagged call or run, with the position of its note: a time, or in the older form a line of a day. */
export interface TaggedPlace extends JobRef {
  readonly mark: TagMark;
}

export type TagMark = TaggedEntry | DayMark;

interface DayMark {
  readonly day: number;
  readonly line: number;
}

/** Position where a search continues. */
export interface TagPosition {
  readonly mark: TagMark;
  /** Whether to continue after the mark, not at it. */
  readonly isBehind: boolean;
}

/** A position in the store's index. */
interface NotePosition extends TagPosition {
  readonly mark: TaggedEntry;
}

/** Returns whether a search yields entry `a` before entry `b`. */
function isLater(a: TaggedEntry, b: TaggedEntry): boolean {
  return a.at > b.at || (a.at === b.at && `${a.queue}/${a.id}` > `${b.queue}/${b.id}`);
}

/** Returns the entries from a position on, in the order of a search. */
function entriesFrom(entries: readonly TaggedEntry[], from: NotePosition | undefined): TaggedEntry[] {
  const isThere = (entry: TaggedEntry): boolean =>
    from === undefined || (from.isBehind ? isLater(from.mark, entry) : !isLater(entry, from.mark));
  return entries.filter(isThere).sort((a, b) => (isLater(a, b) ? -1 : isLater(b, a) ? 1 : 0));
}

/** Retention of ended jobs. */
export interface Keeping {
  readonly completedMs: number;
  readonly failedMs: number;
}

interface TagIndexOptions {
  /** Whether senders also check notes that are due. Default true. */
  readonly checks?: boolean;
  /** Whether jobs are also noted by their task and by the error they failed with. Default false. */
  readonly searchIndex?: boolean;
}

const noTerms = (): readonly string[] => [];

/** A call or run to add. */
export interface Tagged {
  /** Its tags and its terms, see `search-terms.ts`. Without duplicates. */
  readonly tags: Iterable<string>;
  readonly place: JobRef;
  /** Delay before it starts. */
  readonly delayMs?: number | undefined;
}

/** Queued notes that a search without a wait leaves out. */
export interface NotIndexed {
  /** Number of queued notes that were not searched. */
  count: number;
}

const PAGE = 1000;
/** Number of queued notes, the latest ones, that a search reads. One command reads them in some 3 ms. */
const SEARCHED_NOTES = 1000;
/** Number of notes that are moved between two pauses beside a search, in some 80 ms. */
const MOVED_BESIDE = 1000;
const PAUSE_MS = 80;
/** Pauses of a process that has moved the same notes as another one: within a move, and of a move beside a search. */
const LEFT_TO_OTHERS_MS = 100;
const OTHERS_MOVE_MS = 2000;
/** Number of notes that one command checks. With 20 tags each it takes about 3 ms in an index of 400,000 entries. */
const CHECKED_AT_ONCE = 25;
/** A sender checks about twice as many notes as it adds, so that it can remove more than it adds. */
const ADDED_BETWEEN = 12;
/** Delay of the first check: the note exists before its job, which an unreachable store may delay. */
const FIRST_LOOK_MS = 600_000;
/** Queue length from which senders move notes too: searches wait for all queued notes. */
const MAX_QUEUED = 5000;
/** Number of notes that a sender then moves for each note that it adds. */
const MOVED_FOR_ONE = 2;
/** Number of calls noted by the store after which a sender looks at the length of the queue, on average. */
const CALLS_BETWEEN = 500;

export class TagIndex {
  /** Whether jobs are also noted by their task and by the error they failed with. */
  readonly hasTerms: boolean;
  readonly #store: Store;
  readonly #keeping: Keeping;
  readonly #byDay: TagsByDay;
  /** Number of notes to add before the next check. */
  #untilCheck: number;
  readonly #batches = new NoteBatches((notes) => this.#write(notes));
  /** Prefix of the marks of this process. */
  readonly #process = randomId().slice(0, 8);
  #queued = 0;
  #notesCalls: boolean | undefined;
  #isShortening = false;
  /** The last move of this process. A second one beside it would move the same notes. */
  #moving: Promise<void> = Promise.resolve();
  /** Number of notes that the next move beside sends moves. */
  #toMove = 0;
  /** When another process last moved the same notes as this one. */
  #othersMovedAt = Number.NEGATIVE_INFINITY;
  /** Whether this process moves all queued notes for a search. */
  #isMovingAll = false;

  constructor(store: Store, keeping: Keeping, { checks = true, searchIndex = false }: TagIndexOptions = {}) {
    this.hasTerms = searchIndex;
    this.#untilCheck = checks ? 0 : Number.POSITIVE_INFINITY;
    this.#store = store;
    this.#keeping = keeping;
    this.#byDay = new TagsByDay(store, Math.max(keeping.completedMs, keeping.failedMs));
  }

  /** Whether the store notes a call when it adds its job. Then tell `noted` of such calls instead of adding them. */
  get notesCalls(): boolean {
    this.#notesCalls ??= tagPrimitivesOf(this.#store.queueOf(TAG_QUEUE).getBackend())?.notesCalls === true;
    return this.#notesCalls;
  }

  /** Returns the terms of a task that are noted. */
  readonly termsOf = (task: string): readonly string[] => (this.hasTerms ? taskTerms(task) : noTerms());

  /** Returns what the jobs of a tree are noted by: all tags, and the terms of all tasks. */
  labelsOf(tree: JobNode): Set<string> {
    return searchLabelsOf(tree, this.hasTerms ? taskTerms : noTerms);
  }

  /** Takes notice of calls that the store notes, to keep the queue short where no worker moves it. */
  noted(calls: number, now: number): void {
    // By chance: most processes that send may be too short-lived to count that many.
    if (this.#isShortening || Math.random() * CALLS_BETWEEN >= calls) return;
    this.#isShortening = true;
    void this.#shorten(now)
      .catch(() => {}) // the next look handles what a failed one leaves
      .finally(() => {
        this.#isShortening = false;
      });
  }

  async #shorten(now: number): Promise<void> {
    const seen = await this.#withIndex(async ({ noteQueue }) => noteQueue?.first(1));
    const excess = (seen?.count ?? 0) - MAX_QUEUED;
    if (excess <= 0) return;
    await this.#moveQueued(excess + MAX_QUEUED / 2);
    for (let left = MOVED_FOR_ONE * excess; left > 0; left -= CHECKED_AT_ONCE)
      if ((await this.#check(now)) < CHECKED_AT_ONCE) break;
  }

  /** Adds a call or a run. Await it before storing the job, so that stored jobs are always found. */
  async add(tags: Iterable<string>, place: JobRef, now: number): Promise<void> {
    const noting = this.addAll([{ tags, place }], now);
    await noting?.issued;
    await noting?.done();
  }

  /** Adds several calls or runs, together with all others of this turn; undefined if none has a tag. */
  addAll(all: readonly Tagged[], now: number): Noting | undefined {
    const notes = all.flatMap((tagged) => this.#notesOf(tagged, now));
    return notes.length === 0 ? undefined : this.#batches.add(notes);
  }

  /** Moves queued notes into the index, and removes all notes of missing jobs. Called periodically. */
  async clean(now: number): Promise<void> {
    await this.#moveQueued(Number.POSITIVE_INFINITY);
    while (!this.#store.closed.aborted && (await this.#check(now)) === CHECKED_AT_ONCE);
    await this.#byDay.clean();
  }

  /**
   * Yields calls and runs with a tag, the latest first; some may be missing from the store. It waits until all queued notes
   * are in the index.
   */
  async *find(tag: string, now: number, from?: TagPosition): AsyncGenerator<TaggedPlace> {
    await this.#moveQueued(Number.POSITIVE_INFINITY);
    yield* this.#found(tag, now, from, []);
  }

  /**
   * Yields calls and runs as `find` does, without a wait: it searches the latest queued notes and the index, and sets
   * `notIndexed` to the number of the other queued notes, which this process moves meanwhile.
   */
  async *findAtOnce(
    tag: string,
    now: number,
    notIndexed: NotIndexed,
    from?: TagPosition,
  ): AsyncGenerator<TaggedPlace> {
    const { notes, count } = (await this.#withIndex(({ noteQueue }) =>
      Promise.resolve(noteQueue?.latest(SEARCHED_NOTES)),
    )) ?? { notes: [], count: 0 };
    notIndexed.count = Math.max(count - notes.length, 0);
    if (count > 0) void this.#moveAll();
    const found = notesIn(notes, this.#firstLookMs).filter(({ tags }) => tags.includes(tag));
    yield* this.#found(tag, now, from, found);
  }

  /** Moves all queued notes beside a search, unless this process does so already. Pauses, so that searches stay fast. */
  async #moveAll(): Promise<void> {
    if (this.#isMovingAll) return;
    this.#isMovingAll = true;
    try {
      while ((await this.#moveQueued(MOVED_BESIDE)) === MOVED_BESIDE) {
        const doOthersMove = performance.now() - this.#othersMovedAt < OTHERS_MOVE_MS;
        await pause(doOthersMove ? OTHERS_MOVE_MS : PAUSE_MS);
      }
    } catch {
      // The next search moves what a failed move leaves.
    } finally {
      this.#isMovingAll = false;
    }
  }

  /** Yields entries from a position on. `queued` may have entries that were moved into the index meanwhile. */
  async *#found(
    tag: string,
    now: number,
    from: TagPosition | undefined,
    queued: readonly TaggedEntry[],
  ): AsyncGenerator<TaggedPlace> {
    const hash = hashOf(tag);
    if (from === undefined || 'at' in from.mark)
      yield* this.#noted(hash, from as NotePosition | undefined, queued);
    const day = from !== undefined && 'day' in from.mark ? from.mark : undefined;
    const line = day && { day: day.day, line: day.line + Number(from?.isBehind) };
    for await (const { queue, id, ...mark } of this.#byDay.find(hash, now, line)) yield { queue, id, mark };
  }

  /** Yields entries of the store's index and queued ones, the latest first. */
  async *#noted(
    hash: string,
    from: NotePosition | undefined,
    queued: readonly TaggedEntry[],
  ): AsyncGenerator<TaggedPlace> {
    const left = entriesFrom(queued, from);
    // A repeated send adds a second note, and a queued note may have been moved.
    const seen = new Set<string>();
    const unseen = (entries: readonly TaggedEntry[]): TaggedPlace[] =>
      entries.flatMap(({ at, queue, id }) => {
        const key = `${queue}/${id}`;
        if (seen.has(key)) return [];
        seen.add(key);
        return [{ queue, id, mark: { at, queue, id } }];
      });
    let last = from?.mark;
    let isBehind = from?.isBehind ?? true;
    for (;;) {
      const page = await this.#withIndex((primitives) => primitives.findTagged(hash, PAGE, last, isBehind));
      for (const entry of page ?? []) {
        last = entry;
        const later = left.findIndex((each) => !isLater(each, entry));
        yield* unseen([...left.splice(0, later < 0 ? left.length : later), entry]);
      }
      isBehind = true;
      if (page === undefined || page.length < PAGE) break;
    }
    yield* unseen(left);
  }

  /** Writes notes. */
  async #write(notes: readonly TextNote[]): Promise<void> {
    const isNoted = await this.#withIndex(async (primitives) => {
      const { noteQueue } = primitives;
      if (noteQueue === undefined) {
        this.#checkIfDue(notes);
        await this.#noteIn(primitives, notes);
      } else if ((await pushNotes(noteQueue, notes, this.#mark)) > MAX_QUEUED) {
        this.#moveSoon(MOVED_FOR_ONE * notes.length);
        this.#checkIfDue(notes);
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
      const hashes = tags.map((tag) => hashOf(tag));
      await this.#byDay.add(hashes, { queue, id }, at);
    }
    if (this.#isCheckDue(notes)) await this.#byDay.clean();
  }

  /** Checks notes that are due, concurrently with the command that adds; the next check handles what a failed one leaves. */
  #checkIfDue(notes: readonly TextNote[]): void {
    if (this.#isCheckDue(notes)) void this.#check(notes.at(-1)?.at ?? 0).catch(() => {});
  }

  #isCheckDue({ length }: readonly TextNote[]): boolean {
    this.#untilCheck -= length;
    if (this.#untilCheck > 0) return false;
    this.#untilCheck = ADDED_BETWEEN;
    return true;
  }

  /** Moves so many queued notes beside what the sender does; the next move handles what a failed one leaves. */
  #moveSoon(count: number): void {
    this.#toMove += count;
    if (this.#toMove > count) return; // the move that waits includes them
    const move = async (): Promise<void> => {
      const limit = this.#toMove;
      this.#toMove = 0;
      await this.#move(limit);
    };
    this.#moving = this.#moving.then(move).catch(() => {});
  }

  /** Moves queued notes into the index, up to `limit` and not more than exist when it is called. */
  #moveQueued(limit: number): Promise<number> {
    const moved = this.#moving.then(() => this.#move(limit));
    this.#moving = moved.then(
      () => {},
      () => {},
    );
    return moved;
  }

  /** Returns the number of moved notes. */
  async #move(limit: number): Promise<number> {
    if ((await this.#withIndex(async ({ noteQueue }) => noteQueue !== undefined)) !== true) return 0;
    // Each command by itself has the time that a command may take: the queue may be long.
    const queue: Pick<TagNoteQueue, 'first' | 'take'> = {
      first: async (count) =>
        (await this.#withIndex(async ({ noteQueue }) => noteQueue?.first(count))) ?? { notes: [], count: 0 },
      take: async (texts) => (await this.#withIndex(async ({ noteQueue }) => noteQueue?.take(texts))) ?? true,
    };
    return moveNotes(
      queue,
      limit,
      this.#firstLookMs,
      async (notes) => void (await this.#withIndex((primitives) => this.#noteIn(primitives, notes))),
      () => {
        this.#othersMovedAt = performance.now();
        return pause(LEFT_TO_OTHERS_MS);
      },
    );
  }

  async #noteIn(primitives: TagPrimitives, notes: readonly TextNote[]): Promise<void> {
    const hashes = new Map<string, string>(); // most notes of a command have the same few tags and terms
    const hash = (tag: string): string => {
      const known = hashes.get(tag) ?? hashOf(tag);
      hashes.set(tag, known);
      return known;
    };
    const hashed = notes.map((note) => ({ ...note, tags: note.tags.map(hash) }));
    for (const some of inCommands(hashed)) await primitives.noteTags(some);
  }

  /** Checks notes that are due. Returns the number of checked notes. */
  async #check(now: number): Promise<number> {
    return (
      (await this.#withIndex((primitives) => primitives.checkTags(now, CHECKED_AT_ONCE, this.#keeping))) ?? 0
    );
  }

  /** Returns the result of a command of the store's index; undefined if it has none. */
  #withIndex<T>(command: (primitives: TagPrimitives) => Promise<T>): Promise<T | undefined> {
    return this.#store.on(TAG_QUEUE, async (bull) => {
      const primitives = tagPrimitivesOf(bull.getBackend());
      return primitives && command(primitives);
    });
  }

  /** Time from a note to its first check. */
  get #firstLookMs(): number {
    const { completedMs, failedMs } = this.#keeping;
    return Math.max(Math.min(completedMs, failedMs), FIRST_LOOK_MS);
  }

  #notesOf({ tags: iterable, place: { queue, id }, delayMs = 0 }: Tagged, now: number): TextNote[] {
    const tags = Array.isArray(iterable) ? (iterable as readonly string[]) : [...iterable];
    return splitNote({ tags, queue, id, at: now, checkAt: now + delayMs + this.#firstLookMs });
  }
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs).unref();
  });
}

/** Returns the hash of a tag, because tags may be any text. */
function hashOf(tag: string): string {
  return digestId(tag, 32);
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
