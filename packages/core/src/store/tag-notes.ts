/**
 * This module has the notes of the index of tags on their way into it: what was noted in one turn of the event loop is added
 * to a queue in the store with one command, and moved from there into the index. `tags.ts` uses it.
 */
import { valueUnder } from '../base/text.js';
import { INDEXED_DATA, TAGGED_DATA } from '../job/envelope.js';
import type { QueuedNote, TagNoteQueue } from './primitives/tags.js';
import { TERM_START, taskTerms } from './search-terms.js';

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

/** Maximum number of tags of a note, which one command removes. */
const NOTE_TAGS = 20;

/** Returns the notes of a call or a run with any number of tags. */
export function splitNote(note: TextNote): TextNote[] {
  if (note.tags.length <= NOTE_TAGS) return note.tags.length === 0 ? [] : [note];
  const notes: TextNote[] = [];
  for (let start = 0; start < note.tags.length; start += NOTE_TAGS)
    notes.push({ ...note, tags: note.tags.slice(start, start + NOTE_TAGS) });
  return notes;
}

/** Maximum number of tags that one command writes. */
export const COMMAND_TAGS = 500;

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
 * @param beforeNext Called after notes that another process has moved at the same time: wait there, to leave the next ones to it.
 */
export async function moveNotes(
  queue: Pick<TagNoteQueue, 'first' | 'take'>,
  limit: number,
  firstLookMs: number,
  note: (notes: readonly TextNote[]) => Promise<void>,
  beforeNext: () => Promise<void> = async () => {},
): Promise<number> {
  let moved = 0;
  let size = MOVED.least;
  for (let left = limit; left > 0; ) {
    const { notes, count } = await queue.first(Math.min(size, left));
    if (notes.length === 0) break;
    const read = notesIn(notes, firstLookMs);
    await note(read);
    const labels = read.reduce((sum, { tags }) => sum + tags.length, 0);
    const fitting = Math.floor((COMMAND_TAGS * notes.length) / Math.max(labels, 1));
    size = Math.min(Math.max(fitting, MOVED.least), MOVED.most);
    // Remove after indexing, so that a search always finds it in one of the two.
    if (!(await queue.take(notes.map(({ text }) => text)))) await beforeNext();
    moved += notes.length;
    left = Math.min(left, moved === notes.length ? count : left) - notes.length;
  }
  return moved;
}

/** Returns the notes in entries of the queue; none for those of missing jobs and of other programs. */
export function notesIn(entries: readonly QueuedNote[], firstLookMs: number): TextNote[] {
  return entries.flatMap((entry) => {
    const pushed = noteIn(entry);
    return pushed === undefined ? notesOfCall(entry, firstLookMs) : [pushed];
  });
}

/** Returns the pushed note; undefined for other entries. */
function noteIn({ text }: QueuedNote): TextNote | undefined {
  if (!text.startsWith('[')) return undefined; // an error for each noted call would cost more than the rest of its move
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

/** Returns the notes of a call that the store has noted; none if its job is missing, and for other entries. */
function notesOfCall({ text, call }: QueuedNote, firstLookMs: number): TextNote[] {
  const [, queue, id] = /^([^/ ]+)\/(\S+)$/.exec(text) ?? [];
  if (queue === undefined || id === undefined || call === undefined) return [];
  const { task, data, sentAt: at } = call;
  if (!Number.isFinite(at)) return [];
  const { tags, isIndexed } = labelsIn(data);
  const labels = isIndexed ? [...tags, ...taskTerms(task)] : tags;
  return splitNote({ queue, id, at, checkAt: at + firstLookMs, tags: labels });
}

/** Returns the tags in the data of a call, or in the beginning of them, and whether it is also noted by its task. */
function labelsIn(data: string): { readonly tags: readonly string[]; readonly isIndexed: boolean } {
  const isIndexed = data.startsWith(INDEXED_DATA);
  const start = [TAGGED_DATA, `${INDEXED_DATA},"tags":`].find((each) => data.startsWith(each));
  const list = start && /^\[(?:"(?:[^"\\]|\\.)*",?)*\]/.exec(data.slice(start.length))?.[0];
  if (list !== undefined) {
    const tags = parsed(list);
    return { tags: areTexts(tags) ? tags : [], isIndexed };
  }
  if (isIndexed) return { tags: [], isIndexed };
  // Another program has rewritten the data, with the fields in another order.
  const content = parsed(data);
  const tags = valueUnder(content, 'tags');
  return { tags: areTexts(tags) ? tags : [], isIndexed: valueUnder(content, 'indexed') === true };
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
