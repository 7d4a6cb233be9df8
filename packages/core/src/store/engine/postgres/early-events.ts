/**
 * This module reads events as soon as they are committed, for readers that need no order. Others wait for transactions that
 * are still open, because an event of them may come before one that is there.
 */
import type { EventRow } from './event-rows.js';
import { type EventCursor, positionOf } from './positions.js';

export class EarlyEvents {
  /** All events up to here are complete, and were taken. */
  #complete: EventCursor;
  /** Positions of events behind it that were taken. */
  readonly #taken = new Set<string>();
  #last: string;

  /** @param from The position to begin at, as the reader says it. */
  constructor(from: string, cursor: EventCursor) {
    this.#last = from;
    this.#complete = cursor;
  }

  /** Position of the event that was taken last; a reader goes on there. */
  get last(): string {
    return this.#last;
  }

  /** Where to read: all events behind it that were taken are known. */
  get cursor(): EventCursor {
    return this.#complete;
  }

  /** Returns those of the events behind the cursor that were not taken yet, and takes them. */
  take(rows: readonly EventRow[]): EventRow[] {
    const fresh: EventRow[] = [];
    let isComplete = true;
    for (const row of rows) {
      const position = positionOf(row.horizon, row.id, row.at);
      if (!this.#taken.has(position)) {
        fresh.push(row);
        this.#last = position;
      }
      isComplete &&= row.isSafe;
      if (isComplete) {
        this.#complete = { horizon: row.horizon, id: row.id };
        this.#taken.delete(position);
      } else this.#taken.add(position);
    }
    return fresh;
  }
}
