/**
 * Notes of tags on their way into the index of Redis: `TagIndex` gathers those of one turn of the event loop, puts them into
 * a queue of the store with one command, and moves them on from there.
 */
import type { TagNoteQueue } from './primitives/tags.js';

/** What a call or a run bears, before its tags are hashed. */
export interface TextNote {
  readonly tags: readonly string[];
  readonly queue: string;
  readonly id: string;
  /** When it was noted, and when it is looked at next: in milliseconds since 1970. */
  readonly at: number;
  readonly checkAt: number;
}

/** Notes that were added and are being written. */
export interface Noting {
  /** Settles once the command is on its way: the store gets whatever is sent from then on after it. */
  readonly issued: Promise<void>;
  /** Settles with the command. To be called once it was issued. */
  done(): Promise<void>;
}

/** Gathers notes until all that runs now has run. */
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
      written.catch(() => {}); // thrown to whoever waits for it
    });
    return { notes, noting: { issued, done: () => written } };
  }
}

/** Notes that are put into the queue, or taken out of it, by one command. */
const PUSHED = 200;
const TAKEN = 25;

/** Puts notes into the queue; returns how many it has then. Each has another `mark`, which no two processes share. */
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

/** Moves the oldest notes, at most `limit` and those that are there now, into the index; returns how many. */
export async function moveNotes(
  queue: TagNoteQueue,
  limit: number,
  note: (notes: readonly TextNote[]) => Promise<void>,
): Promise<number> {
  let moved = 0;
  for (let left = limit; left > 0; ) {
    const { texts, count } = await queue.first(Math.min(TAKEN, left));
    if (texts.length === 0) break;
    await note(texts.flatMap(noteIn));
    await queue.take(texts); // after it is in the index: a search finds it in one of the two
    moved += texts.length;
    left = Math.min(left, moved === texts.length ? count : left) - texts.length;
  }
  return moved;
}

/** A note as it was put in; none for what another program has put there. */
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
