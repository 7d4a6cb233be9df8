/** Texts of times, sizes and numbers. */
import { now } from './api.js';

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** Returns `2h 07m`, `340 ms` or `12.3 s`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  const at = UNITS.findIndex(([, size]) => ms >= size);
  const [unit, size] = UNITS[at] ?? UNITS[3];
  const [nextUnit, nextSize] = UNITS[at + 1] ?? UNITS[3];
  const rest = Math.floor((ms % size) / nextSize);
  return `${Math.floor(ms / size)}${unit}${rest > 0 ? ` ${rest}${nextUnit}` : ''}`;
}

/** Returns `in 2h` or `3m ago`. */
export function relative(time: string | undefined): string {
  const at = time === undefined ? Number.NaN : Date.parse(time);
  if (Number.isNaN(at) || at <= 0) return '–';
  const ms = at - now();
  if (Math.abs(ms) < 1500) return 'now';
  return ms > 0 ? `in ${duration(ms)}` : `${duration(-ms)} ago`;
}

export function exact(time: string | undefined): string {
  return time === undefined ? '' : new Date(time).toLocaleString(undefined, { timeZoneName: 'short' });
}

/** Returns how long something took, or takes until now. */
export function took(from: string | undefined, to: string | undefined): string {
  if (from === undefined) return '–';
  return duration((to === undefined ? now() : Date.parse(to)) - Date.parse(from));
}

export function bytes(count: number): string {
  const mega = count / 1_048_576;
  return mega < 1024 ? `${Math.round(mega)} MB` : `${(mega / 1024).toFixed(1)} GB`;
}

export const number = (count: number): string => count.toLocaleString('en-US');

export const shortId = (id: string): string => (id.length > 13 ? `${id.slice(0, 8)}…${id.slice(-3)}` : id);

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${number(count)} ${count === 1 ? one : many}`;
