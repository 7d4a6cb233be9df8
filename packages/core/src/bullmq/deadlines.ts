/** Limits on waits that nearly always end long before: one timer for all of them, since each call to a store has one. */

import { type Link, LinkedItems } from '../linked-items.js';
import { clearTimeout, performance, setTimeout } from '../real-timers.js';

/** Node fires a timer at once that is set for longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface Deadline {
  /** By `performance.now()`. */
  readonly at: number;
  readonly expire: () => void;
}

export class Deadlines {
  readonly #open = new LinkedItems<Deadline>();
  #timer: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;
  /** When the timer fires. It may be too early, never too late. */
  #timerAt = Number.POSITIVE_INFINITY;

  /** Calls `expire` at a moment by `performance.now()`, unless what it gives is cleared before. */
  set(at: number, expire: () => void): Link<Deadline> {
    if (this.#open.isEmpty) this.#timer?.ref();
    if (at < this.#timerAt) this.#arm(at);
    return this.#open.add({ at, expire });
  }

  /** Whether it has not expired, and never will now. */
  clear(deadline: Link<Deadline>): boolean {
    const isCleared = this.#open.remove(deadline);
    if (isCleared && this.#open.isEmpty) {
      // A timer that nobody needs is left to fire, and keeps no process alive.
      this.#timer?.unref();
      this.#onIdle?.();
    }
    return isCleared;
  }

  /** Settles once none is open. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#open.isEmpty) resolve();
    });
  }

  /** Expires all that are open. */
  expireAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    for (const link of this.#open.links()) if (this.#open.remove(link)) link.item.expire();
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
    for (const link of this.#open.links()) {
      const { item } = link;
      if (item.at > now) next = Math.min(next, item.at);
      else if (this.#open.remove(link)) expired.push(item);
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
    expired.sort((a, b) => a.at - b.at); // a busy process fires late, for several at once
    for (const { expire } of expired) expire();
  }
}
