/** This module reads the streams of many queues as one: each in its own order, and all by the time of the store. */

import { performance } from '../base/real-timers.js';
import { CONTROL_QUEUE } from '../store/control-queue.js';
import { type EventStreams, markEvents, type StreamEntry } from '../store/events.js';
import type { Store } from '../store/store.js';
import { compareIds, FIRST, previousId, timeOfId } from '../store/stream-position.js';
import { type Merged, type MergeEntry, takeBefore, Watermark } from './event-merge.js';
import { isFirstDelay } from './event-translator.js';

/** Events of one stream that are read at once. */
const PAGE = 1000;
/** The store keeps at least as many events of a stream, before it drops the oldest. */
const KEPT = { jobs: 10_000, control: 1000 };

/** Where the reading of a stream begins. */
export interface StreamStart {
  readonly queue: string;
  /** Events after this id are read. */
  readonly after: string;
  /** Whether an event of that id was there: if it is not, the store has dropped some. */
  readonly isAnchored: boolean;
  /** Whether a mark was written into the stream, so that it has an event. */
  readonly isMarked: boolean;
}

interface Stream {
  readonly queue: string;
  /** Read up to here. */
  readTo: string;
  isAnchored: boolean;
  isMarked: boolean;
  /** The store has more of it than was read. */
  isPartial: boolean;
  /** What was read, and not taken yet. */
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

  /** Whether events were taken out: one that is earlier and comes now is late. */
  get hasBegun(): boolean {
    return this.#readBefore !== Number.NEGATIVE_INFINITY;
  }

  /** Whether all that was read has been taken, and the store has no more, as far as it was asked. */
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

  /** Writes a mark into a stream, so that it has an event. Returns its id. */
  async mark(queue: string): Promise<string> {
    const id = await markEvents(this.#store, queue);
    this.#watermark.seen(timeOfId(id), performance.now());
    return id;
  }

  /** Reads what is new in all streams. Returns what nothing can come before any more. */
  async read(input: EventStreams): Promise<Merged[]> {
    const all = [...this.#streams.values()];
    await Promise.all(all.map((stream) => this.#begin(stream)));
    const beforeMs = this.#watermark.at(performance.now());
    const asked = all.filter((stream) => !isFull(stream));
    // Whether the store has dropped some of what follows a moment is told by how much there is.
    const isWhole = asked.some(({ isAnchored, readTo }) => !isAnchored && readTo !== FIRST);
    const limit = (isWhole ? KEPT.jobs : PAGE) + 1;
    const places = asked.map(({ queue, readTo, isAnchored }) => ({
      queue,
      after: isAnchored ? previousId(readTo) : readTo,
    }));
    const found = await input.read(places, limit);
    for (const [index, stream] of asked.entries()) {
      // A queue that nobody reads any more may have been left out meanwhile.
      if (this.#streams.get(stream.queue) === stream) await this.#take(stream, found[index] ?? [], limit);
    }
    const partial = [...this.#streams.values()].filter(({ isPartial }) => isPartial);
    const takeable = Math.min(beforeMs, ...partial.map(({ readTo }) => timeOfId(readTo)));
    this.#readBefore = Math.max(this.#readBefore, takeable);
    return takeBefore([...this.#streams.values()], takeable);
  }

  /** Resolves with true once there may be more, see `EventStreams.wait`. */
  wait(input: EventStreams, ms: number): Promise<boolean> {
    const places = [...this.#streams.values()].map(({ queue, readTo }) => ({ queue, after: readTo }));
    return input.wait(places, ms);
  }

  /** A mark gives the time of the store, and lets a stream be read without a wait. */
  async #begin(stream: Stream): Promise<void> {
    if (stream.isMarked) return;
    const id = await this.mark(stream.queue);
    stream.isMarked = true;
    if (stream.isAnchored || compareIds(stream.readTo, id) <= 0) return;
    // It is to begin in the future: whoever wants only that leaves out what comes before.
    stream.readTo = id;
    stream.isAnchored = true;
  }

  async #take(stream: Stream, read: readonly StreamEntry[], limit: number): Promise<void> {
    const { queue, readTo, isAnchored } = stream;
    if (read.length === 0) {
      // It was emptied: the next read would wait, or not know of a gap.
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

/** Whether a part of what was read of a stream is to be taken before more is read. */
function isFull({ isPartial, entries, readTo }: Stream): boolean {
  const [first] = entries;
  return isPartial && entries.length >= PAGE && first !== undefined && timeOfId(first.id) < timeOfId(readTo);
}

/** Whether the store may have dropped some of what follows a place, of which it does not tell. */
function isCut({ queue, readTo }: Stream, read: readonly StreamEntry[]): boolean {
  return readTo !== FIRST && read.length >= (queue === CONTROL_QUEUE ? KEPT.control : KEPT.jobs);
}
