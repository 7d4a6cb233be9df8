/**
 * This module converts positions in the events of a queue between their text and the columns by which events are sorted,
 * see `migration-sql.ts`. Numbers of 64 bits are texts.
 */

/** Columns of a position. */
export interface EventCursor {
  readonly horizon: string;
  readonly id: string;
}

/** The greatest number of 64 bits with a sign. */
const LAST_ID = '9223372036854775807';

/** Returns the position of an event. */
export function positionOf(horizon: string | number, id: string | number, at: string | number): string {
  return `${horizon}-${id}@${at}`;
}

/** Returns the position after all events up to a horizon. */
export function positionUpTo(horizon: string | number, at: string | number): string {
  return positionOf(horizon, LAST_ID, at);
}

/** Returns the columns of a position; undefined for a moment, which `timeOfMoment` returns. */
export function eventCursorOf(position: string): EventCursor | undefined {
  const match = /^(\d+)-(\d+)(@\d+)?$/.exec(position);
  if (match === null) return { horizon: '0', id: '0' };
  const [, horizon = '0', id = '0', at] = match;
  if (at === undefined && horizon !== '0') return undefined;
  return { horizon, id: BigInt(id) > BigInt(LAST_ID) ? LAST_ID : id };
}

/** Returns the time of a position that is a moment, in milliseconds since 1970. */
export function timeOfMoment(position: string): number {
  return Number(position.slice(0, position.indexOf('-')));
}
