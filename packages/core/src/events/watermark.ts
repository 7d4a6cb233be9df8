/** Clocks that run by themselves drift apart; so long, by less than a millisecond. */
const KNOWN_MS = 10_000;

/**
 * How late it is in the store, at least. What was written before the time when all streams began to be read has been
 * read when they were; what is later may still be overtaken by an event of another stream.
 */
export class Watermark {
  #last: { readonly storeMs: number; readonly seenAt: number } | undefined;

  /** The store's time was this, or later, at a moment of this machine's clock. */
  seen(storeMs: number, now: number): void {
    const last = this.#last;
    const isLater =
      last === undefined || now - last.seenAt > KNOWN_MS || storeMs - now >= last.storeMs - last.seenAt;
    if (isLater) this.#last = { storeMs, seenAt: now };
  }

  /** All that happened before this is read by whoever begins to read now. */
  at(now: number): number {
    const last = this.#last;
    if (last === undefined) return Number.NEGATIVE_INFINITY;
    return now - last.seenAt > KNOWN_MS ? last.storeMs : Math.floor(last.storeMs + (now - last.seenAt));
  }
}
