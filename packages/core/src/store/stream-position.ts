/**
 * Ids of events, and the position of a reader of one stream. Pure: the watcher and the readers of `app.events` ask the store.
 *
 * An id has two numbers of up to 64 bits, by which the events of a stream are sorted, and the time of the store:
 * `<milliseconds>-<sequence>` where events are sorted by time, `<first>-<second>@<milliseconds>` where they are not. Only
 * this module and the engines read ids.
 */

/** The id before the first event of a stream. */
export const FIRST = '0-0';

const LAST_OF_MS = 18_446_744_073_709_551_615n; // the greatest number in 64 bits

/** Returns whether a text is an id. */
export function isEventId(text: string): boolean {
  return /^\d{1,20}-\d{1,20}(?:@\d{1,16})?$/.test(text);
}

/** Returns the time of an id, in milliseconds since 1970. */
export function timeOfId(id: string): number {
  const at = id.indexOf('@');
  return Number(at < 0 ? id.slice(0, id.indexOf('-')) : id.slice(at + 1));
}

/** Returns the last id before a moment. It compares by time with the ids of every store. */
export function idBefore(ms: number): string {
  return ms <= 0 ? FIRST : `${ms - 1}-${LAST_OF_MS}`;
}

/** Returns the id just before another one: reading after it returns that one again. */
export function previousId(id: string): string {
  const at = id.indexOf('@');
  const [first = '0', sequence = '0'] = (at < 0 ? id : id.slice(0, at)).split('-');
  if (BigInt(sequence) > 0n) return `${first}-${BigInt(sequence) - 1n}${at < 0 ? '' : id.slice(at)}`;
  return BigInt(first) > 0n ? `${BigInt(first) - 1n}-${LAST_OF_MS}` : FIRST;
}

/** Returns a negative number if the first id is earlier, 0 if both are the same. */
export function compareIds(one: string, other: string): number {
  if (one === other) return 0;
  const [dash, otherDash] = [one.indexOf('-'), other.indexOf('-')];
  const [at, otherAt] = [one.indexOf('@', dash), other.indexOf('@', otherDash)];
  if (at < 0 && otherAt < 0 && one.length === other.length && dash === otherDash) return one < other ? -1 : 1; // nearly all ids
  const isMixed = at < 0 !== otherAt < 0 && one !== FIRST && other !== FIRST;
  if (isMixed) return timeOfId(one) - timeOfId(other);
  const [first, otherFirst] = [Number(one.slice(0, dash)), Number(other.slice(0, otherDash))];
  if (first !== otherFirst) return first - otherFirst;
  const sequence = one.slice(dash + 1, at < 0 ? undefined : at);
  const otherSequence = other.slice(otherDash + 1, otherAt < 0 ? undefined : otherAt);
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
