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

/**
 * Ends whatever is raced with it, with the first error it is given. Unlike `Promise.race` with one promise, it keeps
 * nothing of races that are over: a wait may last for hours and look at the store every few seconds.
 */
export class Ending {
  #reason: { readonly error: unknown } | undefined;
  readonly #racing = new Set<(error: unknown) => void>();

  get isOver(): boolean {
    return this.#reason !== undefined;
  }

  with(error: unknown): void {
    this.#reason ??= { error };
    for (const reject of this.#racing) reject(error);
  }

  /** Ends with the signal; gives a function that calls that off. */
  on(signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => {};
    return onAbort(signal, (error) => this.with(error));
  }

  /** @throws what it was ended with, if that is first. */
  race<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {}); // an answer that comes too late
    if (this.#reason !== undefined) return Promise.reject(this.#reason.error);
    return new Promise((resolve, reject) => {
      this.#racing.add(reject);
      promise.then(resolve, reject).finally(() => this.#racing.delete(reject));
    });
  }
}

/**
 * The values until the signal is aborted: then an iteration ends as if its reader had left it, and gives no further value.
 * Whoever aborts it knows why, and a reader that has gone, such as a browser, is no error.
 */
export function untilAborted<T>(
  values: AsyncGenerator<T, void> | Iterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  return signal === undefined && !(Symbol.iterator in values) ? values : valuesUntil(values, signal);
}

async function* valuesUntil<T>(
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
