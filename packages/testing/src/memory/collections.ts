/** Data structures of the memory store: sorted set, linked list, Redis ranges and seeded random numbers. */

/**
 * Returns the half-open index range of a Redis range, whose `start` and `stop` are inclusive and count from the end if
 * negative.
 */
function spanOf(start: number, stop: number, size: number): { from: number; to: number } {
  const from = Math.max(start < 0 ? size + start : start, 0);
  const to = Math.min((stop < 0 ? size + stop : stop) + 1, size);
  return { from, to: Math.max(to, from) };
}

/** Returns the items in a Redis range. */
export function sliceRange<T>(items: readonly T[], start: number, stop: number): T[] {
  const { from, to } = spanOf(start, stop, items.length);
  return items.slice(from, to);
}

/** A member of at most one {@link SortedSet} at a time, because it stores the score itself. */
export interface Scored {
  readonly id: string;
  score: number;
}

const CHUNK = 512;

function precedes(a: Scored, b: Scored): boolean {
  return a.score < b.score || (a.score === b.score && a.id < b.id);
}

/**
 * Members ordered by score and then by id, as in a Redis sorted set. They are stored in short sorted chunks: appending
 * takes constant time, and every other change affects one chunk.
 */
export class SortedSet<T extends Scored> implements Iterable<T> {
  #chunks: T[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds an item that is in no sorted set. */
  add(item: T, score: number): void {
    item.score = score;
    this.#size += 1;
    const last = this.#chunks.at(-1);
    const greatest = last?.at(-1);
    if (!last || !greatest || precedes(greatest, item)) {
      if (last && last.length < CHUNK) last.push(item);
      else this.#chunks.push([item]);
      return;
    }
    const at = this.#chunkOf(item);
    const chunk = this.#chunks[at] ?? last;
    chunk.splice(lowerBound(chunk, item), 0, item);
    if (chunk.length > CHUNK) this.#chunks.splice(at + 1, 0, chunk.splice(CHUNK >> 1));
  }

  /** Removes an item, which must be a member of this set. */
  remove(item: T): void {
    const at = this.#chunkOf(item);
    const chunk = this.#chunks[at];
    if (!chunk) return;
    const index = lowerBound(chunk, item);
    if (chunk[index] !== item) return;
    chunk.splice(index, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
    this.#size -= 1;
  }

  first(): T | undefined {
    return this.#chunks[0]?.[0];
  }

  popFirst(): T | undefined {
    const item = this.first();
    if (item) this.remove(item);
    return item;
  }

  /** Returns the highest member whose score does not exceed `score`. */
  lastUpTo(score: number): T | undefined {
    for (let at = this.#chunks.length - 1; at >= 0; at -= 1) {
      const chunk = this.#chunks[at] ?? [];
      if ((chunk[0]?.score ?? Infinity) > score) continue;
      return chunk[countUpTo(chunk, score) - 1];
    }
    return undefined;
  }

  /** Returns up to `limit` members whose score does not exceed `score`, lowest first. */
  upTo(score: number, limit = Infinity): T[] {
    const found: T[] = [];
    for (const item of this) {
      if (item.score > score || found.length >= limit) break;
      found.push(item);
    }
    return found;
  }

  /** Returns up to `limit` members whose score does not exceed `score`, highest first. */
  downFrom(score: number, limit = Infinity): T[] {
    const found: T[] = [];
    // The common case: no old jobs among those that just finished.
    if ((this.first()?.score ?? Infinity) > score) return found;
    for (let at = this.#chunks.length - 1; at >= 0; at -= 1) {
      const chunk = this.#chunks[at] ?? [];
      for (let index = countUpTo(chunk, score) - 1; index >= 0; index -= 1) {
        const item = chunk[index];
        if (found.length >= limit || !item) return found;
        found.push(item);
      }
    }
    return found;
  }

  /** Returns up to `limit` members before a position, or also at it, highest first. */
  before(place: Scored, limit: number, isIncluded = false): T[] {
    const found: T[] = [];
    for (let at = this.#chunks.length - 1; at >= 0 && found.length < limit; at -= 1) {
      const chunk = this.#chunks[at] ?? [];
      const first = chunk[0];
      if (first === undefined || precedes(place, first)) continue;
      for (let index = lowerBound(chunk, place); index >= 0 && found.length < limit; index -= 1) {
        const item = chunk[index];
        if (item === undefined) continue;
        const isPlace = item.score === place.score && item.id === place.id;
        if (isPlace ? isIncluded : precedes(item, place)) found.push(item);
      }
    }
    return found;
  }

  /** Returns the number of members with a score of at most `score`. */
  countUpTo(score: number): number {
    let count = 0;
    for (const chunk of this.#chunks) {
      const part = countUpTo(chunk, score);
      count += part;
      if (part < chunk.length) break;
    }
    return count;
  }

  /** Returns the members of a Redis range, lowest first. */
  range(start: number, stop: number): T[] {
    const { from, to } = spanOf(start, stop, this.#size);
    const found: T[] = [];
    let offset = 0;
    for (const chunk of this.#chunks) {
      if (offset >= to) break;
      const end = offset + chunk.length;
      if (end > from) found.push(...chunk.slice(Math.max(from - offset, 0), to - offset));
      offset = end;
    }
    return found;
  }

  /** Returns the members of a Redis range that counts from the highest. */
  reverseRange(start: number, stop: number): T[] {
    const { from, to } = spanOf(start, stop, this.#size);
    if (from >= to) return [];
    return this.range(this.#size - to, this.#size - from - 1).reverse();
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const chunk of this.#chunks) yield* chunk;
  }

  #chunkOf(item: T): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      const last = this.#chunks[middle]?.at(-1);
      if (last && precedes(last, item)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function lowerBound(chunk: readonly Scored[], item: Scored): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = chunk[middle];
    if (other && precedes(other, item)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function countUpTo(chunk: readonly Scored[], score: number): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((chunk[middle]?.score ?? Infinity) <= score) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A member of at most one {@link LinkedList}. It stores the links itself, so removal needs no search. */
export interface Linked<T> {
  previous: T | undefined;
  next: T | undefined;
}

/** A list with constant-time push, pop and removal. */
export class LinkedList<T extends Linked<T>> implements Iterable<T> {
  #head: T | undefined;
  #tail: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  pushHead(item: T): void {
    item.previous = undefined;
    item.next = this.#head;
    if (this.#head) this.#head.previous = item;
    else this.#tail = item;
    this.#head = item;
    this.#size += 1;
  }

  pushTail(item: T): void {
    item.next = undefined;
    item.previous = this.#tail;
    if (this.#tail) this.#tail.next = item;
    else this.#head = item;
    this.#tail = item;
    this.#size += 1;
  }

  popTail(): T | undefined {
    const item = this.#tail;
    if (item) this.remove(item);
    return item;
  }

  /** Removes an item, which must be a member of this list. */
  remove(item: T): void {
    if (item.previous) item.previous.next = item.next;
    else this.#head = item.next;
    if (item.next) item.next.previous = item.previous;
    else this.#tail = item.previous;
    item.previous = undefined;
    item.next = undefined;
    this.#size -= 1;
  }

  /** Returns the members of a Redis range, head first. */
  range(start: number, stop: number): T[] {
    const { from, to } = spanOf(start, stop, this.#size);
    const found: T[] = [];
    if (from >= to) return found;
    if (to === this.#size) {
      for (let item = this.#tail, left = to - from; item && left > 0; item = item.previous, left -= 1) {
        found.push(item);
      }
      return found.reverse();
    }
    let index = 0;
    for (let item = this.#head; item && index < to; item = item.next, index += 1) {
      if (index >= from) found.push(item);
    }
    return found;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let item = this.#head; item; item = item.next) yield item;
  }
}

/**
 * Decides where BullMQ guarantees no order, such as which idle worker wakes first. Without a seed it always chooses the
 * first candidate. Equal seeds make equal decisions.
 */
export class SeededRandom {
  #state: number | undefined;

  constructor(seed?: number) {
    this.#state = seed === undefined ? undefined : seed >>> 0;
  }

  /** Returns an index below `count`. */
  pick(count: number): number {
    if (this.#state === undefined || count < 2) return 0;
    return Math.floor(this.#next() * count);
  }

  /** Returns the items in a chosen order. */
  arrange<T>(items: Iterable<T>): T[] {
    const rest = [...items];
    if (this.#state === undefined) return rest;
    const arranged: T[] = [];
    while (rest.length > 0) arranged.push(...rest.splice(this.pick(rest.length), 1));
    return arranged;
  }

  /** Returns a number from 0 to 1; 1 without a seed. */
  fraction(): number {
    return this.#state === undefined ? 1 : this.#next();
  }

  // mulberry32
  #next(): number {
    this.#state = ((this.#state ?? 0) + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
