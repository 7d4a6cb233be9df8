/**
 * This module reads the event streams of many queues as one: each in its own order, all by the time of the store. It also
 * encodes positions in them.
 */

import { InvalidOptionError } from '../base/errors.js';
import { performance } from '../base/real-timers.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { CONTROL_QUEUE } from '../store/control-queue.js';
import { MARK } from '../store/engine/commands.js';
import { type EventStreams, markEvents, type StreamEntry } from '../store/events.js';
import type { Store } from '../store/store.js';
import { compareIds, FIRST, isEventId, previousId, timeOfId } from '../store/stream-position.js';
import { isName } from '../task/option-checks.js';
import { isFirstDelay } from './event-translator.js';

// Positions in the event streams of the store. Each queue has one stream.

/** The position in each stream. */
export interface EventPosition {
  /** The last returned event of each queue. */
  readonly after: ReadonlyMap<string, string>;
  /** Where to begin in other queues. */
  readonly start: string;
}

const VERSION = '1';
/** Maximum length of a position; that of an app with a thousand queues is shorter. */
const MAX_LENGTH = 200_000;

/** Returns the position as opaque text. */
export function encodePosition({ after, start }: EventPosition): string {
  let text = `${VERSION},${start}`;
  for (const [queue, id] of after) text += placeText(queue, id);
  return text;
}

/** Returns the part of a position for one queue, which follows those of other queues. */
export function placeText(queue: string, id: string): string {
  return `,${queue}:${id}`;
}

/** @throws {InvalidOptionError} if `encodePosition` did not return it. */
export function decodePosition(text: string): EventPosition {
  const invalid = () =>
    new InvalidOptionError('from', "'now', 'start', a valid Date or the `position` of an event", text);
  if (text.length > MAX_LENGTH) throw invalid();
  const [version, start = '', ...parts] = text.split(',');
  if (version !== VERSION || !isEventId(start)) throw invalid();
  const after = new Map<string, string>();
  for (const part of parts) {
    const colon = part.indexOf(':');
    const queue = part.slice(0, Math.max(colon, 0));
    const id = part.slice(colon + 1);
    if (!isName(queue) || !isEventId(id) || after.has(queue)) throw invalid();
    after.set(queue, id);
  }
  return { after, start };
}

/** An event, or a gap: the place of dropped events before it. */
export interface MergeEntry extends StreamEntry {
  readonly isGap?: true;
}

/** Events of a queue that were read and not returned yet, oldest first. */
export interface MergeStream {
  readonly queue: string;
  readonly entries: MergeEntry[];
}

export interface Merged {
  readonly queue: string;
  readonly entry: MergeEntry;
  /** The next entry of the same stream. */
  readonly next: MergeEntry | undefined;
}

/**
 * Removes and returns the events before a moment, in the same order for every reader: each stream in its own order, all
 * streams by time. Within a millisecond a run starts before its steps and finishes after them; otherwise queues are ordered
 * by name.
 */
export function takeBefore(streams: readonly MergeStream[], beforeMs: number): Merged[] {
  const heads = streams
    .filter(({ entries }) => entries.length > 0)
    .map((stream) => ({ stream, at: 0, ...keyOf(stream, 0) }))
    .sort((a, b) => compareText(a.stream.queue, b.stream.queue));
  const merged: Merged[] = [];
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (!(head.ms < beforeMs)) continue;
      if (first === undefined || head.ms < first.ms || (head.ms === first.ms && head.rank < first.rank))
        first = head;
    }
    if (first === undefined) break;
    const { stream, at } = first;
    const entry = stream.entries[at];
    if (entry === undefined) break;
    merged.push({ queue: stream.queue, entry, next: stream.entries[at + 1] });
    first.at += 1;
    Object.assign(first, keyOf(stream, first.at));
  }
  for (const { stream, at } of heads) stream.entries.splice(0, at);
  return merged;
}

function keyOf({ queue, entries }: MergeStream, at: number): { ms: number; rank: number } {
  const entry = entries[at];
  if (entry === undefined) return { ms: Number.POSITIVE_INFINITY, rank: 0 };
  return { ms: timeOfId(entry.id), rank: rankOf(queue, entry.fields.get('event')) };
}

function rankOf(queue: string, event: string | undefined): number {
  if (event === MARK.event) return -1; // a mark is not an event of the app
  if (queue !== INTERNAL_QUEUE) return 1;
  if (event === 'added') return 0;
  return event === 'completed' || event === 'failed' ? 2 : 1;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Time for which two clocks drift apart by less than a millisecond. */
const KNOWN_MS = 10_000;

/**
 * Lower bound of the store's time. Events from before a round of reads began are known when the round is over. A later event
 * may still be overtaken by one of another stream.
 */
export class Watermark {
  #last: { readonly storeMs: number; readonly seenAt: number } | undefined;

  /** Records that the store's time was at least this at a moment of this machine's clock. */
  seen(storeMs: number, now: number): void {
    const last = this.#last;
    const isLater =
      last === undefined || now - last.seenAt > KNOWN_MS || storeMs - now >= last.storeMs - last.seenAt;
    if (isLater) this.#last = { storeMs, seenAt: now };
  }

  /** Returns the moment before which a read that begins now sees every event. */
  at(now: number): number {
    const last = this.#last;
    if (last === undefined) return Number.NEGATIVE_INFINITY;
    return now - last.seenAt > KNOWN_MS ? last.storeMs : Math.floor(last.storeMs + (now - last.seenAt));
  }
}

// The reader of the streams.

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
