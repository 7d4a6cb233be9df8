/**
 * Where a reader of a queue's events stands, and whether it may have missed some. Pure: the store is asked by
 * `watcher.ts`.
 *
 * A store drops the oldest events first. So if it still holds an event that the reader has passed, it has dropped none
 * of those that the reader has passed since.
 */

const FIRST = '0-0';

/** Whether one event is later in its stream than another one, by their ids. */
export function isLater(id: string, other: string): boolean {
  if (id.length === other.length && id.indexOf('-') === other.indexOf('-')) return id > other; // nearly all are
  const [ms = '', sequence = ''] = id.split('-');
  const [otherMs = '', otherSequence = ''] = other.split('-');
  if (ms !== otherMs) return Number(ms) > Number(otherMs);
  return Number(sequence) > Number(otherSequence);
}

export class StreamPosition {
  /** All events up to this one were read; undefined until the store has told of one. */
  at: string | undefined;
  /** Where reading began. */
  #start: string | undefined;
  /** An event that was passed, and was in the store when it was asked; undefined if it held none. */
  #anchor: string | undefined;

  /** Begins anew, from wherever the store stands when it is asked next. */
  forget(): void {
    this.at = undefined;
    this.#start = undefined;
    this.#anchor = undefined;
  }

  /** Whether events from this one on are read from the start. */
  covers(id: string): boolean {
    return this.#start !== undefined && !isLater(this.#start, id);
  }

  /**
   * Notes which events the store holds, as it has answered. Returns whether events may have been missed before.
   * @param readTo Where this stood when the store was asked.
   */
  note(first: string | undefined, last: string | undefined, readTo: string | undefined): boolean {
    if (this.at === undefined) {
      this.at = last ?? FIRST;
      this.#start = this.at;
      this.#anchor = last;
      return false;
    }
    if (readTo === undefined) return false; // asked before reading began
    if (first === undefined || last === undefined) return this.#isEmptied();
    if (this.#anchor === undefined) {
      this.#anchor = last; // what was the first event is not known
      return true;
    }
    // Of a store that has lost its latest events, the next ones may come before those that were read.
    const isReset = isLater(readTo, last);
    const isGap = isReset || isLater(first, this.#anchor);
    if (isReset) this.#restartAt(last);
    this.#anchor = isGap ? last : readTo;
    return isGap;
  }

  /** A stream without events: whatever comes is new. */
  #isEmptied(): boolean {
    const wasFilled = this.#anchor !== undefined;
    this.#anchor = undefined;
    this.#restartAt(FIRST);
    return wasFilled;
  }

  #restartAt(id: string): void {
    this.at = id;
    this.#start = id;
  }
}
