/** Ends what goes on for long. */
import { onAbort } from '../abort.js';

/** Ends whatever is raced with it. Unlike `Promise.race` with one promise, it keeps nothing of races that are over. */
export class Ending {
  #reason: { readonly error: unknown } | undefined;
  readonly #racing = new Set<(error: unknown) => void>();

  /** Ends with the signal; gives a function that calls that off. */
  on(signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => {};
    return onAbort(signal, (error) => this.with(error));
  }

  with(error: unknown): void {
    this.#reason ??= { error };
    for (const reject of this.#racing) reject(error);
  }

  /** @throws what the signal was aborted with, if that is first. */
  race<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {}); // an answer that comes too late
    if (this.#reason !== undefined) return Promise.reject(this.#reason.error);
    return new Promise((resolve, reject) => {
      this.#racing.add(reject);
      promise.then(resolve, reject).finally(() => this.#racing.delete(reject));
    });
  }
}
