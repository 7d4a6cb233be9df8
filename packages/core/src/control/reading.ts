/** Reads what other processes have written, where anybody may have written anything: what does not fit is undefined. */
import { isPlainObject } from '../wire/plain-object.js';
import { sanitize } from '../wire/stored-value.js';

export type Fields = Readonly<Record<string, unknown>>;

/** The value of a JSON text of at most so many bytes, without keys `__proto__`. */
export function parsed(text: string | undefined, maxBytes: number): unknown {
  if (text === undefined || text.length > maxBytes) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return sanitize(value) === undefined ? value : undefined;
  } catch {
    return undefined; // no JSON
  }
}

export function fieldsOf(value: unknown): Fields {
  return isPlainObject(value) ? value : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A text without signs that would change what a terminal shows. */
export function textOf(value: unknown, maxLength = 300): string | undefined {
  if (typeof value !== 'string') return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  return value.slice(0, maxLength).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '');
}

/** A number of things, or of milliseconds or bytes. */
export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** A moment that `Date` can hold. */
export function timeOf(value: unknown): Date | undefined {
  return typeof value === 'number' && Math.abs(value) <= 8.64e15 ? new Date(value) : undefined;
}

/** From 0 to 1. */
export function ratioOf(value: unknown): number | undefined {
  const count = countOf(value);
  return count === undefined ? undefined : Math.min(1, count);
}

const WORKER_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text is an id as workers make them. */
export function isWorkerId(text: string): boolean {
  return text.length === 36 && WORKER_ID.test(text);
}
