/** This module converts rows of `umbel_event` to events in BullMQ's form. */
import { positionOf } from './positions.js';
import { unwrapText } from './text.js';

/** Events are held back no longer than this by a transaction that stays open. */
export const HELD_LIMIT_MS = 5000;

/**
 * A row of `umbel_event`, with `isSafe` if no event before it can appear any more, or it has waited long enough, and
 * `isBehind` while a transaction is open that began before it.
 */
export interface EventRow {
  readonly queue: string;
  readonly horizon: string;
  readonly id: string;
  readonly event: string;
  readonly data: Record<string, unknown> | null;
  readonly at: string;
  readonly isSafe: boolean;
  readonly isBehind: boolean;
}

/** An event in BullMQ's form. */
export type RawEvent = [id: string, fields: string[]];

/**
 * Returns an event in BullMQ's form: its position, and its fields as names and values in turn. A text that was stored whole
 * is unwrapped.
 */
export function rawEvent({ horizon, id, event, data, at }: EventRow): RawEvent {
  const fields = ['event', event];
  for (const [name, value] of Object.entries(data ?? {}))
    fields.push(name, typeof value === 'string' ? unwrapText(value) : String(value));
  return [positionOf(horizon, id, at), fields];
}
