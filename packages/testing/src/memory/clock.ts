/** The clocks of the memory store: the machine's clock, and a virtual clock for tests. */

import * as machine from '@umbel/core/internal/real-timers';
import { type Scored, SortedSet } from './collections.js';

/** Handle of a pending call of a {@link Clock}. Only that clock can use it. */
export type ClockHandle = unknown;

/**
 * The source of time of a `memory` store.
 * @example
 * const clock: Clock = { ...systemClock, now: () => Date.UTC(2030, 0, 1) };
 */
export interface Clock {
  /** Returns the current time in milliseconds since 1970. */
  now(): number;
  /** Calls `run` after `ms` milliseconds of this clock; returns a handle. */
  setTimeout(run: () => void, ms: number): ClockHandle;
  clearTimeout(handle: ClockHandle): void;
}

/**
 * The machine's clock. It reads the globals at each call, so faked globals apply.
 * @example
 * const tomorrow: Clock = { ...systemClock, now: () => systemClock.now() + 86_400_000 };
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/** Longest delay of a timer: Node fires timers with longer delays at once. */
export const LONGEST_TIMEOUT = 2 ** 31 - 1;

// A Redis server measures time itself, also while a test fakes the time of the process.
const monotonic = () => machine.performance.now();
// Longest time between a caller's `Date.now()` and its command.
const COMMAND_MS = 5;

/**
 * Converts between the engine's clock and `Date.now()`, which BullMQ's classes use with every clock.
 */
export class EngineTime {
  /** Whether the clock is the machine's clock, so that both times are equal. */
  readonly real: boolean;

  constructor(readonly clock: Clock) {
    this.real = clock === systemClock;
  }

  now(): number {
    return Math.floor(this.clock.now());
  }

  /**
   * Returns the time for rate limits and deduplication ids. On a Redis server these do not follow the clocks of clients,
   * so changing or faking the machine's clock does not end them.
   */
  lease(): number {
    return Math.floor(this.real ? monotonic() : this.clock.now());
  }

  /** Returns the time for locks: always the machine's time, because workers renew locks with its timers. */
  lock(): number {
    return Math.floor(monotonic());
  }

  /**
   * Calls `run` after a blocking wait of `ms` milliseconds; returns a function that cancels it. With a virtual clock a
   * wait ends only by an event: idle workers that poll every few seconds would poll half a million times in a test that
   * advances a month, although the store wakes them for every job.
   */
  startWait(run: () => void, ms: number): () => void {
    if (!Number.isFinite(ms) || !this.real) return () => {};
    const timer = machine.setTimeout(run, Math.min(ms, LONGEST_TIMEOUT));
    return () => machine.clearTimeout(timer);
  }

  /** Converts a time that BullMQ's classes computed from `Date.now()` just before the command to the engine's clock. */
  fromWall(wall: number): number {
    if (this.real) return wall;
    const age = Date.now() - wall;
    return this.clock.now() - (Math.abs(age) < COMMAND_MS ? 0 : age);
  }

  /**
   * Returns the delay or time to report to a Worker, which compares it with `Date.now()` and sleeps on its own timer.
   * With a virtual clock it would sleep too long or spin. So it gets 0 and waits in `waitForJob`, which wakes it by the
   * engine's clock.
   */
  forWorker(value: number): number {
    return this.real ? value : 0;
  }
}

interface Timer extends Scored {
  readonly run: () => void;
}

/** A clock that moves only by calls. Timers run in the order of their times, then of their creation. */
export class VirtualClock implements Clock {
  readonly #timers = new SortedSet<Timer>();
  #now: number;
  #created = 0;

  constructor(startAt: number) {
    this.#now = startAt;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(run: () => void, ms: number): unknown {
    this.#created += 1;
    const timer: Timer = { id: String(this.#created).padStart(12, '0'), score: 0, run };
    this.#timers.add(timer, this.#now + Math.max(0, ms));
    return timer;
  }

  clearTimeout(handle: unknown): void {
    // The set compares before it removes: a timer that has run is not in it.
    if (handle !== undefined) this.#timers.remove(handle as Timer);
  }

  /** Number of pending timers. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Returns the time of the next timer, if any. */
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

  /** Moves the time without running timers; none may be due before it. */
  moveTo(time: number): void {
    this.#now = Math.max(this.#now, time);
  }
}
