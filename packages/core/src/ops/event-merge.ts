/** The streams of all queues as one. */
import { InvalidOptionError } from '../base/errors.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { MARK } from '../store/engine/commands.js';
import type { StreamEntry } from '../store/events.js';
import { isEventId, timeOfId } from '../store/stream-position.js';
import { isName } from '../task/option-checks.js';

// Places in the streams of events that the store keeps, one stream for each queue.

/** How far each stream has been read. */
export interface EventPosition {
  /** The last event that was told of each queue. */
  readonly after: ReadonlyMap<string, string>;
  /** Where to begin in queues that are not among those. */
  readonly start: string;
}

const VERSION = '1';
/** Longer than that of an app with a thousand queues. */
const MAX_LENGTH = 200_000;

/** As opaque text. */
export function encodePosition({ after, start }: EventPosition): string {
  let text = `${VERSION},${start}`;
  for (const [queue, id] of after) text += placeText(queue, id);
  return text;
}

/** What a position says of one queue. It follows what it says of others. */
export function placeText(queue: string, id: string): string {
  return `,${queue}:${id}`;
}

/** @throws {InvalidOptionError} if it is none that `encodePosition` gives. */
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

/** One event, or what stands for events that were dropped before it. */
export interface MergeEntry extends StreamEntry {
  readonly isGap?: true;
}

/** What was read of a queue and not told yet, oldest first. */
export interface MergeStream {
  readonly queue: string;
  readonly entries: MergeEntry[];
}

export interface Merged {
  readonly queue: string;
  readonly entry: MergeEntry;
  /** What follows in the same stream. */
  readonly next: MergeEntry | undefined;
}

/**
 * Takes out what happened before a moment, in one order for all who read: each stream in its own order, and all by time.
 * Within a millisecond a run starts before its steps and finishes after them; else queues follow by name.
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
  if (event === MARK.event) return -1; // nothing is told of it, and nothing waits for it
  if (queue !== INTERNAL_QUEUE) return 1;
  if (event === 'added') return 0;
  return event === 'completed' || event === 'failed' ? 2 : 1;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

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
