/** The two halves of waiting: what ends a pause early, and what ends the wait as a whole. */
import { onAbort } from '../abort.js';

/** The machine's, taken at load time: polling is no part of the time that a test may replace. */
const { setTimeout, clearTimeout } = globalThis;

/** Rings once or more; a wait ends at the first ring, also at one that came before, or after a time. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#rung = false;
  }
}

/** Ends whatever is raced with it, with the first error it is given. */
export class Interrupt {
  #reject: (error: unknown) => void = () => {};
  #isOver = false;
  readonly #interrupted = new Promise<never>((_, reject) => {
    this.#reject = reject;
  });

  constructor() {
    this.#interrupted.catch(() => {}); // it may come when nothing is raced with it
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  with(error: unknown): void {
    this.#isOver = true;
    this.#reject(error);
  }

  /** Interrupts when the signal aborts; gives a function that ends that. */
  on(signal: AbortSignal | undefined): () => void {
    return signal === undefined ? () => {} : onAbort(signal, (reason) => this.with(reason));
  }

  race<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {}); // an answer that comes too late
    return Promise.race([this.#interrupted, promise]);
  }
}
