/** The parts of waiting: what ends a pause early, what ends a wait as a whole, and how an iteration ends by a signal. */
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

/**
 * The values until the signal is aborted: then an iteration ends as if its reader had left it, and gives no further value.
 * Whoever aborts it knows why, and a reader that has gone, such as a browser, is no error.
 */
export async function* untilAborted<T>(
  values: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  if (signal?.aborted) return;
  try {
    for await (const value of values) {
      if (signal?.aborted) return;
      yield value;
      if (signal?.aborted) return;
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}
