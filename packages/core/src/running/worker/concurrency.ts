/** How many jobs of a queue a worker runs at a time, and how that number follows the load. */
import { InvalidOptionError } from '../../errors.js';
import { checkInteger } from '../../tasks/options.js';
import { isPlainObject } from '../../wire/plain-object.js';

/**
 * Jobs of one queue that run at the same time: a number, or bounds between which it follows the load. It grows while
 * every place is taken and this process has time to spare, and shrinks while its event loop is late or places are free.
 */
export type Concurrency = number | { readonly min: number; readonly max: number };

export interface ConcurrencyBounds {
  readonly min: number;
  readonly max: number;
}

/** @throws {InvalidOptionError} */
export function concurrencyBounds(option: string, concurrency: Concurrency): ConcurrencyBounds {
  if (!isPlainObject(concurrency)) {
    const value = checkInteger(option, concurrency as number, 1, 100_000); // or something else, which it refuses
    return { min: value, max: value };
  }
  const min = checkInteger(`${option}.min`, concurrency.min, 1, 100_000);
  const max = checkInteger(`${option}.max`, concurrency.max, 1, 100_000);
  if (max < min) throw new InvalidOptionError(`${option}.max`, `at least ${option}.min (${min})`, max);
  return { min, max };
}

/** What the number for one queue depends on. */
export interface Load {
  /** Jobs of the queue that run here. */
  readonly active: number;
  /** How much of the last interval the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  /** How late the event loop was at worst, in milliseconds. */
  readonly delayMs: number;
}

/** A loop that is later makes every job slower, and locks hard to renew. */
const LATE_MS = 200;
const BUSY = 0.95;
const CALM = 0.8;

/**
 * The next number of places: a quarter more (one at least) while all are taken and there is time to spare, a quarter
 * fewer while the event loop is late or busy, and one fewer while more than half are free.
 */
export function nextConcurrency(
  current: number,
  { min, max }: ConcurrencyBounds,
  { active, utilization, delayMs }: Load,
): number {
  const step = Math.max(1, Math.floor(current / 4));
  const clamp = (value: number) => Math.min(max, Math.max(min, value));
  if (delayMs > LATE_MS || utilization > BUSY) return clamp(current - step);
  if (active >= current && utilization < CALM) return clamp(current + step);
  if (active * 2 < current) return clamp(current - 1);
  return clamp(current);
}
