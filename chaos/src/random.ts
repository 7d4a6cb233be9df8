/** Numbers that look random and are the same for the same seed. */
import { createHash } from 'node:crypto';

export class Random {
  readonly #seed: string;
  #drawn = 0;

  constructor(seed: number | string) {
    this.#seed = `${seed}`;
  }

  /** One of its own for a purpose, so that what one draws does not depend on how often another does. */
  for(purpose: string): Random {
    return new Random(`${this.#seed} ${purpose}`);
  }

  /** From 0 up to 1. */
  next(): number {
    this.#drawn += 1;
    const digest = createHash('sha1').update(`${this.#seed} ${this.#drawn}`).digest();
    return digest.readUInt32BE(0) / 2 ** 32;
  }

  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  /** From 0 up to `limit`, without it. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0];
  }
}
