/**
 * Decides wherever BullMQ leaves an order open, such as which of several idle workers wakes first.
 * Without a seed the first candidate is always taken; with one, the same seed gives the same decisions.
 */
export class Choice {
  #state: number | undefined;

  constructor(seed?: number) {
    this.#state = seed === undefined ? undefined : seed >>> 0;
  }

  /** An index below `count`. */
  pick(count: number): number {
    if (this.#state === undefined || count < 2) return 0;
    return Math.floor(this.#next() * count);
  }

  /** The members of `items` in the order chosen. */
  arrange<T>(items: Iterable<T>): T[] {
    const rest = [...items];
    if (this.#state === undefined) return rest;
    const arranged: T[] = [];
    while (rest.length > 0) arranged.push(...rest.splice(this.pick(rest.length), 1));
    return arranged;
  }

  /** A share from 0 to 1; 1 without a seed. */
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
