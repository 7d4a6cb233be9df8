/** How far something is, on one line. */

import type { Output } from './output.js';
import { cleanLine, jsonText } from './text.js';

const WIDTH = 24;
const LONGEST = 100;

/** A bar for counts (`done` of `total`) and percentages, else the value itself. */
export function progressLine(value: unknown): string {
  const { done, total, percent, failed } = fields(value);
  if (done !== undefined && total !== undefined) {
    const failures = failed ? `, ${failed} failed` : '';
    return `${bar(total === 0 ? 0 : done / total)} ${done}/${total} done${failures}`;
  }
  if (percent !== undefined) return `${bar(percent / 100)} ${Math.round(percent)}%`;
  const text = cleanLine(jsonText(value));
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** Where no line can change in place, from one line to the next. */
const NOTE_EVERY_MS = 5000;

/**
 * Shows how far a command is with a subject: on a terminal on one line that changes, else, with text for people, on a line
 * every five seconds.
 */
export function progressShown(
  out: Output,
  subject: string,
  now: () => number = () => performance.now(),
): (progress: { readonly done: number; readonly total: number }) => void {
  let shownAt = now();
  return ({ done, total }) => {
    const line = cleanLine(`${subject}: ${progressLine({ done, total })}`);
    if (out.isInteractive) out.status(line);
    else if (!out.isJson && now() - shownAt >= NOTE_EVERY_MS) {
      shownAt = now();
      out.note(line);
    }
  };
}

function fields(value: unknown): Readonly<Record<string, number | undefined>> {
  if (typeof value === 'number') return value >= 0 && value <= 100 ? { percent: value } : {};
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, each]) => typeof each === 'number'));
}

function bar(part: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * WIDTH);
  return `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}`;
}
