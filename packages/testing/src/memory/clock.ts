/** What a {@link Clock} hands back for a pending call; only that clock can read it. */
export type ClockHandle = unknown;

/** The only source of time of the in-memory engine. */
export interface Clock {
  /** The current time, in milliseconds since the epoch. */
  now(): number;
  /** A handle for a call of `run` in `ms` milliseconds of this clock. */
  setTimeout(run: () => void, ms: number): ClockHandle;
  clearTimeout(handle: ClockHandle): void;
}

/** The machine's own clock, looked up at each call so that faked globals are honoured. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/** Node fires a longer delay at once. */
export const LONGEST_TIMEOUT = 2 ** 31 - 1;

/**
 * Relates the engine's clock to `Date.now()`, which BullMQ's own classes keep using whatever clock is
 * injected.
 */
export class EngineTime {
  /** Whether the clock is the machine's own, so that both times are the same. */
  readonly real: boolean;

  constructor(readonly clock: Clock) {
    this.real = clock === systemClock;
  }

  now(): number {
    return Math.floor(this.clock.now());
  }

  /** The moment of the engine's clock that BullMQ's classes wrote down as `wall`. */
  fromWall(wall: number): number {
    return this.real ? wall : wall + this.clock.now() - Date.now();
  }

  /**
   * The delay or moment to report to a Worker, which compares it with `Date.now()` and sleeps on a timer of
   * its own. Under another clock it would sleep too long or spin, so it is told nothing and waits in
   * `waitForJob`, which wakes it by the engine's clock.
   */
  forWorker(value: number): number {
    return this.real ? value : 0;
  }
}
