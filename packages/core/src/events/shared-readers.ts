/**
 * This module finds a reader for each subscription. All who are up to date share one, which waits for events on a
 * connection of its own; those who are further behind are read for by others, on one connection for all of these, until
 * they have caught up.
 */
import { EventStreams } from '../bullmq/event-streams.js';
import { type ReaderParts, SharedReader } from './shared-reader.js';
import type { Subscription } from './subscription.js';

export class SharedReaders {
  readonly #parts: ReaderParts;
  readonly #readers = new Set<SharedReader>();
  /** Who reads on the connection of those that do not wait. */
  readonly #behind = new Set<SharedReader>();
  #input: EventStreams | undefined;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  get parts(): ReaderParts {
    return this.#parts;
  }

  /** Lets a subscription take from the log of a reader that has what it needs next, or from one of its own. */
  place(subscription: Subscription): void {
    for (const reader of this.#readers) {
      const place = reader.placeFor(subscription);
      if (place !== undefined) {
        reader.add(subscription, place);
        return;
      }
    }
    this.#open(subscription, false);
    const live = this.#live;
    if (live !== subscription.reader) live?.expect(subscription);
  }

  /** Lets a subscription be read for by itself, for good. */
  separate(subscription: Subscription): void {
    subscription.leave();
    this.#open(subscription, true);
  }

  /** After a round: whoever has taken all goes to the reader that waits for more, or this one is that from now on. */
  settle(reader: SharedReader): void {
    if (reader.isLive || reader.isAlone || reader.isOver) return;
    const live = this.#live;
    if (live === undefined) {
      this.#behind.delete(reader);
      this.#endInput();
      reader.beLive();
      return;
    }
    for (const subscription of reader.waiting) {
      const place = live.placeFor(subscription);
      if (place === undefined) {
        live.expect(subscription);
        continue;
      }
      subscription.leave();
      live.add(subscription, place);
    }
  }

  /** The connection of a reader that does not wait. */
  input(reader: SharedReader): EventStreams {
    this.#behind.add(reader);
    this.#input ??= new EventStreams(this.#parts.options);
    return this.#input;
  }

  ended(reader: SharedReader): void {
    this.#readers.delete(reader);
    this.#behind.delete(reader);
    this.#endInput();
  }

  /** A subscription is over. */
  forget(subscription: Subscription): void {
    for (const reader of [...this.#readers]) reader.remove(subscription);
  }

  get #live(): SharedReader | undefined {
    for (const reader of this.#readers) if (reader.isLive) return reader;
    return undefined;
  }

  #open(subscription: Subscription, isAlone: boolean): void {
    const isLive = !isAlone && this.#live === undefined;
    const reader = new SharedReader(this.#parts, this, subscription, { isAlone, isLive });
    this.#readers.add(reader);
  }

  #endInput(): void {
    if (this.#behind.size > 0) return;
    this.#input?.close().catch(() => {});
    this.#input = undefined;
  }
}
