/** This module reads the streams of many queues as one: each in its own order, and all by the time of the store. */

import { performance } from '../base/real-timers.js';
import { CONTROL_QUEUE } from '../store/control-queue.js';
import { type EventStreams, markEvents, type StreamEntry } from '../store/events.js';
import type { Store } from '../store/store.js';
import { compareIds, FIRST, previousId, timeOfId } from '../store/stream-position.js';
import { type Merged, type MergeEntry, takeBefore, Watermark } from './event-merge.js';
import { isFirstDelay } from './event-translator.js';

/** Maximum number of events of a stream that one command reads. */
const PAGE = 1000;
/** Minimum number of events of a stream that the store keeps. */
const KEPT = { jobs: 10_000, control: 1000 };

/** Where reading a stream begins. */
export interface StreamStart {
  readonly queue: string;
  /** Reads events after this id. */
  readonly after: string;
  /** Whether the event with that id existed: if it is missing now, the store has dropped events. */
  readonly isAnchored: boolean;
  /** Whether a mark was written into the stream, so that it contains an event. */
  readonly isMarked: boolean;
}

interface Stream {
  readonly queue: string;
  /** Id of the last event that was read. */
  readTo: string;
  isAnchored: boolean;
  isMarked: boolean;
  /** Whether the store has more events than were read. */
  isPartial: boolean;
  /** Events that were read and not taken yet. */
  readonly entries: MergeEntry[];
}

export class MergedStreamReader {
  readonly #store: Store;
  readonly #streams = new Map<string, Stream>();
  readonly #watermark = new Watermark();
  #readBefore = Number.NEGATIVE_INFINITY;

  constructor(store: Store) {
    this.#store = store;
  }

  get queues(): readonly string[] {
    return [...this.#streams.keys()];
  }

  /** Whether events were taken: an earlier one that arrives now is late. */
  get hasBegun(): boolean {
    return this.#readBefore !== Number.NEGATIVE_INFINITY;
  }

  /** Whether every event that was read is taken, and the last reads found no more in the store. */
  get isQuiet(): boolean {
    for (const { entries, isPartial } of this.#streams.values())
      if (isPartial || entries.length > 0) return false;
    return true;
  }

  add({ queue, after, isAnchored, isMarked }: StreamStart): void {
    this.#streams.set(queue, { queue, readTo: after, isAnchored, isMarked, isPartial: false, entries: [] });
  }

  drop(queue: string): void {
    this.#streams.delete(queue);
  }

  /** Writes a mark into a stream, so that it contains an event. Returns the id of the mark. */
  async mark(queue: string): Promise<string> {
    const id = await markEvents(this.#store, queue);
    this.#watermark.seen(timeOfId(id), performance.now());
    return id;
  }

  /** Reads new events of all streams. Returns those that no earlier event can precede any more. */
  async read(input: EventStreams): Promise<Merged[]> {
    const all = [...this.#streams.values()];
    await Promise.all(all.map((stream) => this.#begin(stream)));
    const beforeMs = this.#watermark.at(performance.now());
    const asked = all.filter((stream) => !isFull(stream));
    // The number of events shows whether the store may have dropped some after a moment.
    const isWhole = asked.some(({ isAnchored, readTo }) => !isAnchored && readTo !== FIRST);
    const limit = (isWhole ? KEPT.jobs : PAGE) + 1;
    const places = asked.map(({ queue, readTo, isAnchored }) => ({
      queue,
      after: isAnchored ? previousId(readTo) : readTo,
    }));
    const found = await input.read(places, limit);
    for (const [index, stream] of asked.entries()) {
      // A queue without readers may have been removed in the meantime.
      if (this.#streams.get(stream.queue) === stream) await this.#take(stream, found[index] ?? [], limit);
    }
    const partial = [...this.#streams.values()].filter(({ isPartial }) => isPartial);
    const takeable = Math.min(beforeMs, ...partial.map(({ readTo }) => timeOfId(readTo)));
    this.#readBefore = Math.max(this.#readBefore, takeable);
    return takeBefore([...this.#streams.values()], takeable);
  }

  /** Resolves with true once there may be more events, see `EventStreams.wait`. */
  wait(input: EventStreams, ms: number): Promise<boolean> {
    const places = [...this.#streams.values()].map(({ queue, readTo }) => ({ queue, after: readTo }));
    return input.wait(places, ms);
  }

  /** Writes a mark: its id has the time of the store, and a stream with a mark is read without a wait. */
  async #begin(stream: Stream): Promise<void> {
    if (stream.isMarked) return;
    const id = await this.mark(stream.queue);
    stream.isMarked = true;
    if (stream.isAnchored || compareIds(stream.readTo, id) <= 0) return;
    // It begins in the future: the subscription skips earlier events.
    stream.readTo = id;
    stream.isAnchored = true;
  }

  async #take(stream: Stream, read: readonly StreamEntry[], limit: number): Promise<void> {
    const { queue, readTo, isAnchored } = stream;
    if (read.length === 0) {
      // The stream was emptied: the next read would wait, or miss a gap.
      await this.mark(queue);
      return;
    }
    const entries = read.slice(0, PAGE + 1);
    stream.isPartial = entries.length < read.length || read.length === limit;
    const isThere = isAnchored && entries[0]?.id === readTo;
    const kept = entries.filter((entry, index) => !isFirstDelay(entries[index - 1], entry));
    const fresh = isThere ? kept.slice(1) : kept;
    const isGap = isAnchored ? !isThere : isCut(stream, read);
    const [first] = fresh;
    if (isGap && first !== undefined) stream.entries.push({ ...first, fields: new Map(), isGap: true });
    stream.entries.push(...fresh);
    const last = entries.at(-1);
    if (last === undefined) return;
    stream.readTo = last.id;
    stream.isAnchored = true;
    this.#watermark.seen(timeOfId(last.id), performance.now());
  }
}

/** Returns whether events of a stream have to be taken before more are read. */
function isFull({ isPartial, entries, readTo }: Stream): boolean {
  const [first] = entries;
  return isPartial && entries.length >= PAGE && first !== undefined && timeOfId(first.id) < timeOfId(readTo);
}

/** Returns whether the store may have dropped events after a position without a trace. */
function isCut({ queue, readTo }: Stream, read: readonly StreamEntry[]): boolean {
  return readTo !== FIRST && read.length >= (queue === CONTROL_QUEUE ? KEPT.control : KEPT.jobs);
}
