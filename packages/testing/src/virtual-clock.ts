import type { Clock } from './memory/clock.js';
import { type Scored, SortedSet } from './memory/sorted-set.js';

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
