/** What cannot be planned. */
import { CanvasError } from '../errors.js';

export function notLazy(place: string): CanvasError {
  return new CanvasError(
    `A group whose members are read while they are sent has to start the workflow; this one ${place}. ` +
      'Make a list of its members first: group([...members]).',
  );
}

export function tooMany(count: number, limit: number): CanvasError {
  return new CanvasError(
    `A group has ${count} members, and the limit for those that are given as a list is ${limit}. Give them as an ` +
      'iterable, so that they are read while they are sent, or raise createApp({ limits: { groupMembers } }).',
  );
}

/** A value with such a key would be taken for its prototype by whoever merges it; workers refuse it. */
export function checkKeys(keys: readonly string[] = []): void {
  if (keys.includes('__proto__')) throw new CanvasError('No key of a value can be called "__proto__".');
}
