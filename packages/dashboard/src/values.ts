/** This module prepares values of jobs for the page: masked, as JSON text, and not longer than a page can show. */
import type { App } from '@umbel/core';

/** A value as the page shows it. */
export interface ShownValue {
  /** Indented JSON; its beginning if `isCut`. */
  readonly json: string;
  readonly isCut: boolean;
  /** Whether a secret was masked in it, so that it cannot be edited. */
  readonly isMasked: boolean;
}

const MAX_LENGTH = 100_000;

/** Returns a value of a task's job for the page; undefined for `undefined`. */
export function shown(app: App, task: string, value: unknown): ShownValue | undefined {
  if (value === undefined) return undefined;
  const plain = JSON.stringify(value, undefined, 2) ?? 'null';
  const masked = JSON.stringify(app.mask(task, value), undefined, 2) ?? 'null';
  return {
    json: masked.slice(0, MAX_LENGTH),
    isCut: masked.length > MAX_LENGTH,
    isMasked: masked !== plain,
  };
}

/** Returns lines of text, the last ones if there are too many. */
export function shownLines(lines: readonly string[]): { lines: readonly string[]; left: number } {
  const kept: string[] = [];
  let length = 0;
  for (const line of lines.toReversed()) {
    length += line.length;
    if (length > MAX_LENGTH) break;
    kept.push(line);
  }
  return { lines: kept.reverse(), left: lines.length - kept.length };
}
