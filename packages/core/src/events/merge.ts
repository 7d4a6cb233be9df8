/** The streams of all queues as one. */
import { MARK, type StreamEntry } from '../bullmq/event-streams.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { timeOfId } from './position.js';

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
