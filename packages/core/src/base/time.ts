/** The clock that all code of this package uses, and durations as options take them. */
import ms from 'ms';
import { InvalidOptionError } from './errors.js';

/** The only source of time in this package, so that tests can replace it with virtual time. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `run` once after `ms` milliseconds. Returns a handle for `clearTimeout`. */
  setTimeout(run: () => void, ms: number): unknown;
  /** Sets a timer that limits running work. Unlike after `setTimeout`, virtual time does not regard the caller as waiting. */
  setDeadline(run: () => void, ms: number): unknown;
  /** Sets a timer for maintenance. It does not keep the process alive, and virtual time does not advance to reach it. */
  setBackground(run: () => void, ms: number): unknown;
  /** Clears a timer of any of the three kinds. */
  clearTimeout(handle: unknown): void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => new LongTimer(run, ms),
  setDeadline: (run, ms) => new LongTimer(run, ms),
  setBackground: (run, ms) => new LongTimer(run, ms, true),
  clearTimeout: (handle) => (handle as LongTimer | undefined)?.clear(),
};

/** Node fires a timer immediately if it is set for longer than this (24.8 days). */
const MAX_TIMER_MS = 2 ** 31 - 1;

class LongTimer {
  readonly #isBackground: boolean;
  #timer: NodeJS.Timeout;

  constructor(run: () => void, ms: number, isBackground = false) {
    this.#isBackground = isBackground;
    this.#timer = this.#start(run, ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }

  #start(run: () => void, ms: number): NodeJS.Timeout {
    const isLast = ms <= MAX_TIMER_MS;
    const next = () => {
      this.#timer = this.#start(run, ms - MAX_TIMER_MS);
    };
    const timer = setTimeout(isLast ? run : next, isLast ? ms : MAX_TIMER_MS);
    return this.#isBackground ? timer.unref() : timer;
  }
}

/** A length of time: milliseconds as a number, or text such as `'30s'`, `'10m'`, `'1h'`, `'7d'`. */
export type Duration = number | `${number}${'' | ' '}${'ms' | 's' | 'm' | 'h' | 'd' | 'w'}`;

/**
 * Returns the milliseconds of a duration, zero or more.
 * @throws {InvalidOptionError} for `option`, if the text is not a duration, or the time is negative or not finite.
 */
export function durationMs(duration: Duration, option: string): number {
  const value = typeof duration === 'number' ? duration : parse(duration);
  if (value === undefined || !Number.isFinite(value) || value < 0) {
    throw new InvalidOptionError(
      option,
      `a time in milliseconds or text such as '30s', '10m', '1h'`,
      duration,
    );
  }
  return Math.round(value);
}

const UNITS = [
  ['w', 604_800_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** Returns a time in milliseconds as an exact duration in the largest unit: `3d`, `90m`. */
export function durationText(value: number): string {
  const [unit, size] = UNITS.find(([, each]) => value >= each && value % each === 0) ?? ['ms', 1];
  return `${value / size}${unit}`;
}

function parse(text: string): number | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  return ms(text as ms.StringValue) as number | undefined; // `ms` returns undefined for other text; its types omit that
}
