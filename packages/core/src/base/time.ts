import ms from 'ms';
import { InvalidOptionError } from './errors.js';

/** The only source of time in this package, so that tests can run on a clock of their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `run` once, `ms` milliseconds from now; the answer is for `clearTimeout`. */
  setTimeout(run: () => void, ms: number): unknown;
  /** The same for a limit on work that goes on meanwhile: who sets it does not wait for it. */
  setDeadline(run: () => void, ms: number): unknown;
  /** The same for upkeep that nobody waits for: it keeps no process alive, and no test lets time pass for it. */
  setBackground(run: () => void, ms: number): unknown;
  /** Of any kind. */
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

/** Node fires a timer at once that is set for longer than this, 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1;

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
    const isLast = ms <= LONGEST_MS;
    const next = () => {
      this.#timer = this.#start(run, ms - LONGEST_MS);
    };
    const timer = setTimeout(isLast ? run : next, isLast ? ms : LONGEST_MS);
    return this.#isBackground ? timer.unref() : timer;
  }
}

/** A length of time: milliseconds as a number, or text such as `'30s'`, `'10m'`, `'1h'`, `'7d'`. */
export type Duration = number | `${number}${'' | ' '}${'ms' | 's' | 'm' | 'h' | 'd' | 'w'}`;

/**
 * Milliseconds in a duration, zero or more.
 * @throws {InvalidOptionError} naming `option` if the text cannot be read, or the time is negative or not finite.
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

function parse(text: string): number | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  return ms(text as ms.StringValue) as number | undefined; // its types leave out that other text gives undefined
}
