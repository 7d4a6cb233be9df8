import { InvalidOptionError } from '../../errors.js';

/** An amount of memory: bytes as a number, or text such as `'512MB'` or `'1.5GB'` (of 1024, as operating systems count). */
export type MemorySize = number | `${number}${'' | ' '}${'KB' | 'MB' | 'GB'}`;

const UNITS = { KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 } as const;

/** @throws {InvalidOptionError} unless it is more than zero. */
export function bytesOf(option: string, size: MemorySize): number {
  const value = typeof size === 'number' ? size : parse(size);
  if (value === undefined || !Number.isFinite(value) || value <= 0) {
    throw new InvalidOptionError(option, `bytes, or text such as '512MB' or '1.5GB'`, size);
  }
  return Math.round(value);
}

function parse(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?(KB|MB|GB)$/.exec(String(text)) ?? [];
  return amount === undefined ? undefined : Number(amount) * UNITS[unit as keyof typeof UNITS];
}

/** In whole mebibytes, for people. */
export function inMegabytes(bytes: number): string {
  return `${Math.round(bytes / UNITS.MB)} MB`;
}
