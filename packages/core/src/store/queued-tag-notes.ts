/**
 * This module buffers notes of tags on their way into the index of Redis. `TagIndex` collects the notes of one turn of the
 * event loop, adds them to a queue in the store with one command, and moves them from there into the index.
 */
import type { TagNoteQueue } from './primitives/tags.js';

/** Tags of a call or a run, before they are hashed. */
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

/** Maximum number of notes that one command adds to the queue, or removes from it. */
const PUSHED = 200;
const MOVED = 25;

/** Adds notes to the queue. Returns the length of the queue. `mark` must return a value that is unique across processes. */
export async function pushNotes(
  queue: TagNoteQueue,
  notes: readonly TextNote[],
  mark: () => string,
): Promise<number> {
  const texts = notes.map(({ tags, queue: name, id, at, checkAt }) =>
    JSON.stringify([mark(), name, id, at, checkAt, tags]),
  );
  const pushing: Promise<number>[] = [];
  for (let start = 0; start < texts.length; start += PUSHED)
    pushing.push(queue.push(texts.slice(start, start + PUSHED)));
  return Math.max(0, ...(await Promise.all(pushing)));
}

/** Moves the oldest notes into the index, up to `limit` and not more than exist now. Returns the number of moved notes. */
export async function moveNotes(
  queue: TagNoteQueue,
  limit: number,
  note: (notes: readonly TextNote[]) => Promise<void>,
): Promise<number> {
  let moved = 0;
  for (let left = limit; left > 0; ) {
    const { texts, count } = await queue.first(Math.min(MOVED, left));
    if (texts.length === 0) break;
    await note(texts.flatMap(noteIn));
    await queue.take(texts); // remove after indexing, so that a search always finds it in one of the two
    moved += texts.length;
    left = Math.min(left, moved === texts.length ? count : left) - texts.length;
  }
  return moved;
}

/** Returns the note in a text; nothing for an entry that another program has added. */
function noteIn(text: string): TextNote[] {
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(stored)) return [];
  const [, queue, id, at, checkAt, tags] = stored as unknown[];
  const isNote =
    typeof queue === 'string' &&
    typeof id === 'string' &&
    Number.isFinite(at) &&
    Number.isFinite(checkAt) &&
    Array.isArray(tags) &&
    tags.every((tag) => typeof tag === 'string');
  return isNote ? [{ queue, id, at: Number(at), checkAt: Number(checkAt), tags: tags as string[] }] : [];
}
