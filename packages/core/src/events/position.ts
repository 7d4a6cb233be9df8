/** Places in the streams of events that the store keeps, one stream for each queue. */
import { InvalidOptionError } from '../errors.js';
import { isName } from '../tasks/options.js';

/** How far each stream has been read. */
export interface Position {
  /** The last event that was told of each queue. */
  readonly after: ReadonlyMap<string, string>;
  /** Where to begin in queues that are not among those. */
  readonly start: string;
}

/** The id before the first event of a stream. */
export const FIRST = '0-0';

const ID = /^\d{1,20}-\d{1,20}$/;
const VERSION = '1';
/** Longer than that of an app with a thousand queues. */
const MAX_LENGTH = 200_000;

/** The id of the last event before a moment. */
export function idBefore(ms: number): string {
  return ms <= 0 ? FIRST : `${ms - 1}-${LAST_OF_MS}`;
}

const LAST_OF_MS = 18_446_744_073_709_551_615n; // the greatest number in 64 bits

/** The id just before another one: reading after it gives that one again. */
export function previousId(id: string): string {
  const [ms = '0', sequence = '0'] = id.split('-');
  if (BigInt(sequence) > 0n) return `${ms}-${BigInt(sequence) - 1n}`;
  return BigInt(ms) > 0n ? `${BigInt(ms) - 1n}-${LAST_OF_MS}` : FIRST;
}

/** The moment of an id, in milliseconds since 1970. */
export function timeOfId(id: string): number {
  return Number(id.slice(0, id.indexOf('-')));
}

/** Negative if the first id is earlier, 0 if both are the same. */
export function compareIds(one: string, other: string): number {
  if (one === other) return 0;
  const [ms, otherMs] = [timeOfId(one), timeOfId(other)];
  if (ms !== otherMs) return ms - otherMs;
  const [sequence, otherSequence] = [one.slice(one.indexOf('-') + 1), other.slice(other.indexOf('-') + 1)];
  // Numbers of up to 64 bits, without zeros before them.
  if (sequence.length !== otherSequence.length) return sequence.length - otherSequence.length;
  return sequence < otherSequence ? -1 : sequence > otherSequence ? 1 : 0;
}

/** As opaque text. */
export function encodePosition({ after, start }: Position): string {
  let text = `${VERSION},${start}`;
  for (const [queue, id] of after) text += placeText(queue, id);
  return text;
}

/** What a position says of one queue. It follows what it says of others. */
export function placeText(queue: string, id: string): string {
  return `,${queue}:${id}`;
}

/** @throws {InvalidOptionError} if it is none that `encodePosition` gives. */
export function decodePosition(text: string): Position {
  const invalid = () =>
    new InvalidOptionError('from', "'now', 'start', a valid Date or the `position` of an event", text);
  if (text.length > MAX_LENGTH) throw invalid();
  const [version, start = '', ...parts] = text.split(',');
  if (version !== VERSION || !ID.test(start)) throw invalid();
  const after = new Map<string, string>();
  for (const part of parts) {
    const colon = part.indexOf(':');
    const queue = part.slice(0, Math.max(colon, 0));
    const id = part.slice(colon + 1);
    if (!isName(queue) || !ID.test(id) || after.has(queue)) throw invalid();
    after.set(queue, id);
  }
  return { after, start };
}
