import { setImmediate } from '@umbel/core/internal/real-timers';

/**
 * Delays replies to the next turn of the event loop, as a server's replies are. Without it a busy worker
 * would run from microtask to microtask and keep timers and I/O of the process waiting for good. The turns are those of
 * the machine, so that faked timers cannot stop the store.
 */
export class Turn {
  #next: Promise<void> | undefined;

  /** The start of the next turn; all that wait for it continue in the order in which they asked. */
  next(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#next = undefined;
        resolve();
      });
    });
    return this.#next;
  }
}
