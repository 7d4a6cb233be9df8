import type { EntryRaw } from 'bullmq';
import type { Turn } from './turn.js';

interface Entry {
  readonly ms: number;
  readonly sequence: number;
  readonly fields: readonly string[];
}

interface Position {
  readonly ms: number;
  readonly sequence: number;
}

interface Reader {
  after: Position;
  readonly take: (entries: EntryRaw[]) => void;
}

// Redis trims a stream approximately, by whole nodes of this many entries.
const NODE = 100;

function isAfter(a: Position, b: Position): boolean {
  return a.ms > b.ms || (a.ms === b.ms && a.sequence > b.sequence);
}

function parsePosition(id: string): Position {
  const [ms = '0', sequence = '0'] = id.split('-');
  return { ms: Number(ms) || 0, sequence: Number(sequence) || 0 };
}

function idOf({ ms, sequence }: Position): string {
  return `${ms}-${sequence}`;
}

/** The events of one queue, numbered in order of time and kept until they are trimmed. */
export class EventStream {
  #nodes: Entry[][] = [];
  #length = 0;
  #lastMs = 0;
  #lastSequence = 0;
  readonly #readers = new Set<Reader>();
  #delivering = false;

  constructor(private readonly turn: Turn) {}

  get length(): number {
    return this.#length;
  }

  /** The ids of the oldest and the newest event that are kept; undefined if there is none. */
  get edges(): { readonly first: string; readonly last: string } | undefined {
    const first = this.#nodes[0]?.[0];
    const last = this.#nodes.at(-1)?.at(-1);
    return first && last && { first: idOf(first), last: idOf(last) };
  }

  /** The id of the newest event, also when it has been trimmed. */
  get lastId(): string {
    return `${this.#lastMs}-${this.#lastSequence}`;
  }

  /** Adds an event of alternating field names and values. */
  add(now: number, fields: readonly string[]): void {
    if (now > this.#lastMs) {
      this.#lastMs = now;
      this.#lastSequence = 0;
    } else {
      this.#lastSequence += 1;
    }
    const entry: Entry = { ms: this.#lastMs, sequence: this.#lastSequence, fields };
    const node = this.#nodes.at(-1);
    if (node && node.length < NODE) node.push(entry);
    else this.#nodes.push([entry]);
    this.#length += 1;
    if (this.#readers.size > 0 && !this.#delivering) {
      this.#delivering = true;
      void this.turn.next().then(() => this.#deliver());
    }
  }

  /** How many of the oldest events were removed to come near `limit`. */
  trim(limit: number): number {
    let removed = 0;
    for (let node = this.#nodes[0]; node && this.#length - node.length >= limit; node = this.#nodes[0]) {
      this.#nodes.shift();
      this.#length -= node.length;
      removed += node.length;
    }
    return removed;
  }

  clear(): void {
    this.#nodes = [];
    this.#length = 0;
  }

  /** The events newer than `id`. */
  after(id: string): EntryRaw[] {
    return this.#after(parsePosition(id));
  }

  /** A function that ends the wait; `take` is called once, as soon as there are events newer than `id`. */
  wait(id: string, take: (entries: EntryRaw[]) => void): () => void {
    const reader: Reader = { after: parsePosition(id), take };
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  // One delivery for all events of a turn, instead of one for each.
  #deliver(): void {
    this.#delivering = false;
    for (const reader of [...this.#readers]) {
      const entries = this.#after(reader.after);
      if (entries.length === 0) continue;
      this.#readers.delete(reader);
      reader.take(entries);
    }
  }

  #after(position: Position): EntryRaw[] {
    let at = this.#nodes.length;
    while (at > 0) {
      const first = this.#nodes[at - 1]?.[0];
      if (first && !isAfter(first, position)) break;
      at -= 1;
    }
    const found: EntryRaw[] = [];
    for (const node of this.#nodes.slice(Math.max(at - 1, 0))) {
      for (const entry of node) {
        if (isAfter(entry, position)) found.push([idOf(entry), [...entry.fields]]);
      }
    }
    return found;
  }
}
