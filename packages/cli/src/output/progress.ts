/** How far something is, on one line. */
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

function fields(value: unknown): Readonly<Record<string, number | undefined>> {
  if (typeof value === 'number') return value >= 0 && value <= 100 ? { percent: value } : {};
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, each]) => typeof each === 'number'));
}

function bar(part: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * WIDTH);
  return `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}`;
}
