/** This module merges the event streams of all queues in one order, and encodes positions in them. */
import { InvalidOptionError } from '../base/errors.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { MARK, type StreamEntry } from '../store/events.js';
import { isEventId, timeOfId } from '../store/stream-position.js';
import { isName } from '../task/option-checks.js';

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

  /** Notes that the store's time was at least this at a moment of this machine's clock. */
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
