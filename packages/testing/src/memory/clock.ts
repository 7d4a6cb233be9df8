import * as machine from '@umbel/core/internal/real-timers';
import { type Scored, SortedSet } from './collections.js';

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

// What a Redis server times by itself goes on while a test fakes the process's time.
const monotonic = () => machine.performance.now();
// What may pass between a caller's look at the clock and its command.
const COMMAND_MS = 5;

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

  /**
   * The time by which rate limits and ids held for a while run. On a Redis server these do not follow the clocks
   * of its clients, so neither setting nor faking the machine's clock ends them.
   */
  lease(): number {
    return Math.floor(this.real ? monotonic() : this.clock.now());
  }

  /** The time by which locks run: always the machine's, since workers renew them by its timers. */
  lock(): number {
    return Math.floor(monotonic());
  }

  /**
   * A function that calls off `run`, which is called after a blocking wait of `ms` milliseconds. Under another
   * clock a wait ends by an event only: idle workers that look again every few seconds would cost a test that
   * passes a month half a million rounds, and find nothing that they are not woken for.
   */
  startWait(run: () => void, ms: number): () => void {
    if (!Number.isFinite(ms) || !this.real) return () => {};
    const timer = machine.setTimeout(run, Math.min(ms, LONGEST_TIMEOUT));
    return () => machine.clearTimeout(timer);
  }

  /** The moment of the engine's clock that BullMQ's classes computed from `Date.now()` just before the command. */
  fromWall(wall: number): number {
    if (this.real) return wall;
    const age = Date.now() - wall;
    return this.clock.now() - (Math.abs(age) < COMMAND_MS ? 0 : age);
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

interface Timer extends Scored {
  readonly run: () => void;
}

/** Time that stands still until it is moved. Timers run in the order of their times, then of their making. */
export class VirtualClock implements Clock {
  readonly #timers = new SortedSet<Timer>();
  #now: number;
  #made = 0;

  constructor(startAt: number) {
    this.#now = startAt;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(run: () => void, ms: number): unknown {
    this.#made += 1;
    const timer: Timer = { id: String(this.#made).padStart(12, '0'), score: 0, run };
    this.#timers.add(timer, this.#now + Math.max(0, ms));
    return timer;
  }

  clearTimeout(handle: unknown): void {
    // The set compares before it removes: a timer that has run is not in it.
    if (handle !== undefined) this.#timers.remove(handle as Timer);
  }

  /** Timers that have not run. */
  get pending(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, if there is one. */
  nextAt(): number | undefined {
    return this.#timers.first()?.score;
  }

  /** Moves to the next timer and runs it. */
  runNext(): void {
    const timer = this.#timers.popFirst();
    if (timer === undefined) return;
    this.#now = Math.max(this.#now, timer.score);
    timer.run();
  }

  /** Moves on without running anything; no timer may be due before. */
  moveTo(time: number): void {
    this.#now = Math.max(this.#now, time);
  }
}
