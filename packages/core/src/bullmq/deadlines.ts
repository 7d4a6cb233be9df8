/** Limits on waits that nearly always end long before: one timer for all of them, since each call to a store has one. */

/** Node fires a timer at once that is set for longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Real time, taken at load time: reaching a store is no part of the time that a test may replace. */
const { setTimeout, clearTimeout } = globalThis;

export interface Deadline {
  /** By `performance.now()`. */
  readonly at: number;
  readonly expire: () => void;
}

export class Deadlines {
  readonly #open = new Set<Deadline>();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires. It may be too early, never too late. */
  #timerAt = Number.POSITIVE_INFINITY;

  /** Calls `expire` at a moment by `performance.now()`, unless what it gives is cleared before. */
  set(at: number, expire: () => void): Deadline {
    const deadline = { at, expire };
    if (this.#open.size === 0) this.#timer?.ref();
    this.#open.add(deadline);
    if (at < this.#timerAt) this.#arm(at);
    return deadline;
  }

  /** Whether it has not expired, and never will now. */
  clear(deadline: Deadline): boolean {
    const isCleared = this.#open.delete(deadline);
    // A timer that nobody needs is left to fire, and keeps no process alive.
    if (isCleared && this.#open.size === 0) this.#timer?.unref();
    return isCleared;
  }

  #arm(at: number): void {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const ms = Math.min(Math.max(at - performance.now(), 0), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => this.#fire(), Math.ceil(ms));
  }

  #fire(): void {
    const now = performance.now();
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    let next = Number.POSITIVE_INFINITY;
    const expired: Deadline[] = [];
    for (const deadline of this.#open) {
      if (deadline.at <= now) expired.push(deadline);
      else next = Math.min(next, deadline.at);
    }
    for (const deadline of expired) this.#open.delete(deadline);
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
    for (const { expire } of expired) expire();
  }
}
