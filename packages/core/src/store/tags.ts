/**
 * This module is the index from tags to calls and runs. A note is written before its job is stored, with the time of its
 * next check: a check removes the note if the job is missing. Waiting and running jobs keep their notes, so the size of the
 * index depends on the stored jobs, not on all jobs ever sent.
 *
 * On Redis, notes are added to a queue first: those of calls by the command that adds the job, the others with one command
 * for each turn of the event loop. Workers move them into the index with each repair, searches do so first, and senders do so
 * when many notes are queued.
 */

import { valueUnder } from '../base/text.js';
import { TAGGED_DATA } from '../job/envelope.js';
import { digestId, randomId } from '../job/ids.js';
import type { JobRef } from '../job/job.js';
import { type JobNode, searchLabelsOf } from '../job/job-tree.js';
import { TAG_QUEUE } from './engine/commands.js';
import {
  type QueuedNote,
  type TaggedEntry,
  type TagNote,
  type TagNoteQueue,
  type TagPrimitives,
  tagPrimitivesOf,
} from './primitives/tags.js';
import { TERM_START, taskTerms } from './search-terms.js';
import type { Store } from './store.js';

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

const PAGE = 1000;
/** Maximum number of tags of a note, which one command removes. */
const NOTE_TAGS = 20;
/** Maximum number of tags that one command writes. */
const COMMAND_TAGS = 500;
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

  constructor(store: Store, keeping: Keeping, { checks = true, searchIndex = false }: TagIndexOptions = {}) {
    this.hasTerms = searchIndex;
    this.#untilCheck = checks ? 0 : Number.POSITIVE_INFINITY;
    this.#store = store;
    this.#keeping = keeping;
    this.#byDay = new TagsByDay(store, Math.max(keeping.completedMs, keeping.failedMs));
  }

  /** Whether the store notes the tags of a call when it adds its job. Then tell `noted` of such calls instead of adding them. */
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

  /** Yields calls and runs with a tag, the latest first; some may be missing from the store. */
  async *find(tag: string, now: number, from?: TagPosition): AsyncGenerator<TaggedPlace> {
    const hash = hashOf(tag);
    await this.#moveQueued(Number.POSITIVE_INFINITY);
    if (from === undefined || 'at' in from.mark)
      yield* this.#noted(hash, from as (TagPosition & { mark: { at: number } }) | undefined);
    const day = from !== undefined && 'day' in from.mark ? from.mark : undefined;
    const line = day && { day: day.day, line: day.line + Number(from?.isBehind) };
    for await (const { queue, id, ...mark } of this.#byDay.find(hash, now, line)) yield { queue, id, mark };
  }

  /** Yields entries of the store's index. */
  async *#noted(hash: string, from: TagPosition | undefined): AsyncGenerator<TaggedPlace> {
    // A repeated send adds a second note.
    const seen = new Set<string>();
    let last = from !== undefined && 'at' in from.mark ? from.mark : undefined;
    let isBehind = from?.isBehind ?? true;
    for (;;) {
      const page = await this.#withIndex((primitives) => primitives.findTagged(hash, PAGE, last, isBehind));
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

  /** Writes notes. */
  async #write(notes: readonly TextNote[]): Promise<void> {
    const isNoted = await this.#withIndex(async (primitives) => {
      const { noteQueue } = primitives;
      if (noteQueue === undefined) {
        this.#checkIfDue(notes);
        await this.#noteIn(primitives, notes);
      } else if ((await pushNotes(noteQueue, notes, this.#mark)) > MAX_QUEUED) {
        // Not awaited: the next move handles what a failed one leaves.
        void this.#moveQueued(MOVED_FOR_ONE * notes.length).catch(() => {});
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

  /** Moves queued notes into the index, up to `limit` and not more than exist now. */
  async #moveQueued(limit: number): Promise<void> {
    if ((await this.#withIndex(async ({ noteQueue }) => noteQueue !== undefined)) !== true) return;
    // Each command by itself has the time that a command may take: the queue may be long.
    const queue: Pick<TagNoteQueue, 'first' | 'take'> = {
      first: async (count) =>
        (await this.#withIndex(async ({ noteQueue }) => noteQueue?.first(count))) ?? { notes: [], count: 0 },
      take: async (texts) => void (await this.#withIndex(async ({ noteQueue }) => noteQueue?.take(texts))),
    };
    await moveNotes(
      queue,
      limit,
      this.#firstLookMs,
      async (notes) => void (await this.#withIndex((primitives) => this.#noteIn(primitives, notes))),
    );
  }

  async #noteIn(primitives: TagPrimitives, notes: readonly TextNote[]): Promise<void> {
    const hashed = notes.map((note) => ({ ...note, tags: note.tags.map((tag) => hashOf(tag)) }));
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
    const checkAt = now + delayMs + this.#firstLookMs;
    const notes: TextNote[] = [];
    for (let start = 0; start < tags.length; start += NOTE_TAGS)
      notes.push({ tags: tags.slice(start, start + NOTE_TAGS), queue, id, at: now, checkAt });
    return notes;
  }
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

// Queued notes, on their way into the index: the notes of one turn of the event loop are added to a queue in the store with
// one command, and moved from there into the index.

/** Tags and terms of a call or a run, before they are hashed. */
export interface TextNote {
  readonly tags: readonly string[];
  readonly queue: string;
  readonly id: string;
  /** When it was noted, and when it is checked next: in milliseconds since 1970. */
  readonly at: number;
  readonly checkAt: number;
}

/** Notes that were added and are being written. */
export interface Noting {
  /** Settles once the command was sent: the store receives all later commands after it. */
  readonly issued: Promise<void>;
  /** Settles with the command. Call it after `issued` has settled. */
  done(): Promise<void>;
}

/** Collects notes until the current microtasks have run. */
export class NoteBatches {
  readonly #write: (notes: readonly TextNote[]) => Promise<void>;
  #open: { readonly notes: TextNote[]; readonly noting: Noting } | undefined;

  constructor(write: (notes: readonly TextNote[]) => Promise<void>) {
    this.#write = write;
  }

  add(notes: readonly TextNote[]): Noting {
    this.#open ??= this.#newBatch();
    for (const note of notes) this.#open.notes.push(note);
    return this.#open.noting;
  }

  #newBatch(): { readonly notes: TextNote[]; readonly noting: Noting } {
    const notes: TextNote[] = [];
    let written = Promise.resolve();
    const issued = Promise.resolve().then(() => {
      this.#open = undefined;
      written = this.#write(notes);
      written.catch(() => {}); // callers of `done()` get the error
    });
    return { notes, noting: { issued, done: () => written } };
  }
}

/** Maximum number of notes that one command adds to the queue. */
const PUSHED = 200;
/** Number of notes that one command moves: as many as have 500 tags together, within these bounds. */
const MOVED = { least: 25, most: 250 };

/** Adds notes to the queue. Returns the length of the queue. `mark` must return a value that is unique across processes. */
export async function pushNotes(
  queue: TagNoteQueue,
  notes: readonly TextNote[],
  mark: () => string,
): Promise<number> {
  const texts = notes.map(({ tags: labels, queue: name, id, at, checkAt }) => {
    const tags = labels.filter((label) => !label.startsWith(TERM_START));
    const note = [mark(), name, id, at, checkAt, tags];
    if (tags.length === labels.length) return JSON.stringify(note);
    const terms = labels.filter((label) => label.startsWith(TERM_START));
    return JSON.stringify([...note, terms.map((term) => term.slice(TERM_START.length))]);
  });
  const pushing: Promise<number>[] = [];
  for (let start = 0; start < texts.length; start += PUSHED)
    pushing.push(queue.push(texts.slice(start, start + PUSHED)));
  return Math.max(0, ...(await Promise.all(pushing)));
}

/**
 * Moves the oldest notes into the index, up to `limit` and not more than exist now. Returns the number of moved notes.
 * @param firstLookMs Time from the sending of a call that the store has noted to the first check of its note.
 */
export async function moveNotes(
  queue: Pick<TagNoteQueue, 'first' | 'take'>,
  limit: number,
  firstLookMs: number,
  note: (notes: readonly TextNote[]) => Promise<void>,
): Promise<number> {
  let moved = 0;
  let size = MOVED.least;
  for (let left = limit; left > 0; ) {
    const { notes, count } = await queue.first(Math.min(size, left));
    if (notes.length === 0) break;
    const read = notes.flatMap((queued) => noteIn(queued) ?? noteOfCall(queued, firstLookMs) ?? []);
    await note(read);
    const labels = read.reduce((sum, { tags }) => sum + tags.length, 0);
    const fitting = Math.floor((COMMAND_TAGS * notes.length) / Math.max(labels, 1));
    size = Math.min(Math.max(fitting, MOVED.least), MOVED.most);
    await queue.take(notes.map(({ text }) => text)); // remove after indexing, so that a search always finds it in one of the two
    moved += notes.length;
    left = Math.min(left, moved === notes.length ? count : left) - notes.length;
  }
  return moved;
}

/** Returns the pushed note; undefined for other entries. */
function noteIn({ text }: QueuedNote): TextNote | undefined {
  const stored = parsed(text);
  if (!Array.isArray(stored)) return undefined;
  const [, queue, id, at, checkAt, tags, terms = []] = stored as unknown[];
  const isNote =
    typeof queue === 'string' &&
    typeof id === 'string' &&
    Number.isFinite(at) &&
    Number.isFinite(checkAt) &&
    areTexts(tags) &&
    areTexts(terms) &&
    tags.length + terms.length > 0;
  if (!isNote) return undefined;
  const labels = [...tags, ...terms.map((term) => `${TERM_START}${term}`)];
  return { queue, id, at: Number(at), checkAt: Number(checkAt), tags: labels };
}

/** Returns the note of a call that the store has noted; undefined if its job is missing, and for other entries. */
function noteOfCall({ text, call }: QueuedNote, firstLookMs: number): TextNote | undefined {
  const [, queue, id] = /^([^/ ]+)\/(\S+)$/.exec(text) ?? [];
  if (queue === undefined || id === undefined || call === undefined) return undefined;
  const tags = tagsIn(call.data);
  const at = call.sentAt;
  return tags && Number.isFinite(at) ? { queue, id, at, checkAt: at + firstLookMs, tags } : undefined;
}

/** Returns the tags in the data of a call, or in the beginning of it; undefined if it has none. */
function tagsIn(data: string): readonly string[] | undefined {
  const list = /^(?:"(?:[^"\\]|\\.)*",?)*\]/.exec(data.slice(TAGGED_DATA.length + 1))?.[0];
  const isFirst = data.startsWith(`${TAGGED_DATA}[`) && list !== undefined;
  const tags = isFirst ? parsed(`[${list}`) : valueUnder(parsed(data), 'tags');
  return areTexts(tags) && tags.length > 0 ? tags : undefined;
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

/** Returns the value of a JSON text; undefined for another text, which another program has added. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
