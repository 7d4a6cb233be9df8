import { CorruptJobError } from '../errors.js';
import { sanitize } from '../wire/stored-value.js';

/** The result that is stored as this text. @throws {CorruptJobError} if it is no JSON, or nothing to give on. */
export function parsedResult(id: string, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CorruptJobError(id, 'its result is no JSON', { cause });
  }
  checkResult(id, value);
  return value;
}

/** @throws {CorruptJobError} if a result that was parsed is none to give on. */
export function checkResult(id: string, value: unknown): void {
  const fault = sanitize(value);
  if (fault !== undefined) throw new CorruptJobError(id, `its result cannot be used: ${fault}`);
}
