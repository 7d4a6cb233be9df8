/**
 * Ids of events, and the position of a reader of one stream. Pure: the watcher and the readers of `app.events` ask the store.
 *
 * An id is `<milliseconds>-<sequence>`: the time of the store, and a number of up to 64 bits that counts within it.
 */

/** The id before the first event of a stream. */
export const FIRST = '0-0';

/** Returns the time of an id, in milliseconds since 1970. */
export function timeOfId(id: string): number {
  return Number(id.slice(0, id.indexOf('-')));
}

/** Returns a negative number if the first id is earlier, 0 if both are the same. */
export function compareIds(one: string, other: string): number {
  if (one === other) return 0;
  const [dash, otherDash] = [one.indexOf('-'), other.indexOf('-')];
  if (one.length === other.length && dash === otherDash) return one < other ? -1 : 1; // nearly all ids
  const [ms, otherMs] = [timeOfId(one), timeOfId(other)];
  if (ms !== otherMs) return ms - otherMs;
  const [sequence, otherSequence] = [one.slice(dash + 1), other.slice(otherDash + 1)];
  // Numbers of up to 64 bits, without zeros before them.
  if (sequence.length !== otherSequence.length) return sequence.length - otherSequence.length;
  return sequence < otherSequence ? -1 : sequence > otherSequence ? 1 : 0;
}

/** Returns whether `id` is later in the stream than `other`. */
export function isLater(id: string, other: string): boolean {
  return compareIds(id, other) > 0;
}

/**
 * The position of a reader, which notices whether it may have missed events. A store drops the oldest events first. So if it
 * still holds an event that the reader has passed, it has dropped none of the events after that one.
 */
export class StreamPosition {
  /** Id of the last event that was read; undefined until the store has reported one. */
  at: string | undefined;
  /** Id of the event at which reading began. */
  #start: string | undefined;
  /** Id of a passed event that the store still held at the last look; undefined if it held none. */
  #anchor: string | undefined;

  /** Resets the position; the next look sets it to the store's last event. */
  forget(): void {
    this.at = undefined;
    this.#start = undefined;
    this.#anchor = undefined;
  }

  /** Returns whether all events from this one on are read. */
  covers(id: string): boolean {
    return this.#start !== undefined && !isLater(this.#start, id);
  }

  /**
   * Stores the range of events that the store holds. Returns whether events may have been missed before.
   * @param readTo Position when the store was asked.
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
      this.#anchor = last; // the first event is unknown, so some may have been dropped
      return true;
    }
    // If the store has lost its latest events, new ids may be earlier than ids that were read.
    const isReset = isLater(readTo, last);
    const isGap = isReset || isLater(first, this.#anchor);
    if (isReset) this.#restartAt(last);
    this.#anchor = isGap ? last : readTo;
    return isGap;
  }

  /** Handles a stream without events: every later event is new. */
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
