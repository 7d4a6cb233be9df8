/** The two halves of waiting: what ends a pause early, and what ends the wait as a whole. */
import { onAbort } from '../abort.js';
import { clearTimeout, setTimeout } from '../real-timers.js';

/** Rings once or more; a wait ends at the first ring, also at one that came before, or after a time. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;
  readonly #holdsProcess: boolean;

  /** `holdsProcess`: whether a wait keeps the process alive. */
  constructor(holdsProcess = true) {
    this.#holdsProcess = holdsProcess;
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        if (!this.#holdsProcess) timer.unref();
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
