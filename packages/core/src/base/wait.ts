/**
 * Waiting that can be cancelled: abort signals with any number of listeners, pauses that can be ended early, waits that end
 * with an error, and the retry loop.
 */
import { setMaxListeners } from 'node:events';
import { type Link, LinkedItems } from './linked-list.js';
import { clearTimeout, setTimeout } from './real-timers.js';

type Listener = (reason: unknown) => void;

/**
 * The listeners of each signal. The signal itself gets only one listener for all of them: Node prints a
 * `MaxListenersExceededWarning` at the eleventh, although waiting for twelve results with one signal leaks nothing.
 */
const listenersOf = new WeakMap<AbortSignal, LinkedItems<Listener>>();

/** Creates a controller whose signal may have any number of listeners without a warning of Node. */
export function createAbortController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/**
 * Calls `listener` once, with the reason, when the signal aborts; immediately if it is already aborted. Returns a function
 * that removes the listener.
 */
export function onAbort(signal: AbortSignal, listener: Listener): () => void {
  if (signal.aborted) {
    listener(signal.reason);
    return () => {};
  }
  const listeners = listenersOf.get(signal) ?? listenTo(signal);
  const link: Link<Listener> = listeners.add(listener);
  return () => {
    if (!listeners.remove(link) || !listeners.isEmpty || listenersOf.get(signal) !== listeners) return;
    listenersOf.delete(signal);
    signal.removeEventListener('abort', fanOut);
  };
}

function listenTo(signal: AbortSignal): LinkedItems<Listener> {
  const listeners = new LinkedItems<Listener>();
  listenersOf.set(signal, listeners);
  signal.addEventListener('abort', fanOut, { once: true });
  return listeners;
}

function fanOut({ target }: Event): void {
  const signal = target as AbortSignal; // `listenTo` adds this listener to signals only
  const listeners = listenersOf.get(signal);
  listenersOf.delete(signal);
  for (const listener of listeners ?? []) listener(signal.reason);
}

/** A pause that ends after a time or at the first `ring()`, including one that came before the pause began. */
export class WakeUp {
  #isRung = false;
  #wake: (() => void) | undefined;
  readonly #holdsProcess: boolean;

  /** @param holdsProcess Whether a pause keeps the process alive. */
  constructor(holdsProcess = true) {
    this.#holdsProcess = holdsProcess;
  }

  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#isRung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        if (!this.#holdsProcess) timer.unref();
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#isRung = false;
  }
}

/**
 * A wait that can be ended with an error, which rejects every promise that is raced with it. Unlike `Promise.race` with one
 * long-lived promise, it keeps no reference to finished races: a wait may last for hours and query the store every few
 * seconds.
 */
export class CancellableWait {
  #reason: { readonly error: unknown } | undefined;
  readonly #racing = new Set<(error: unknown) => void>();

  get isOver(): boolean {
    return this.#reason !== undefined;
  }

  /** Ends the wait with this error; only the first error counts. */
  with(error: unknown): void {
    this.#reason ??= { error };
    for (const reject of this.#racing) reject(error);
  }

  /** Ends the wait when the signal aborts. Returns a function that removes the listener. */
  on(signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => {};
    return onAbort(signal, (error) => this.with(error));
  }

  /** Settles as `promise` does. @throws the error that ends the wait, if that happens first. */
  race<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {}); // it may reject after the race is over
    if (this.#reason !== undefined) return Promise.reject(this.#reason.error);
    return new Promise((resolve, reject) => {
      this.#racing.add(reject);
      promise.then(resolve, reject).finally(() => this.#racing.delete(reject));
    });
  }
}

export interface RetryLoop {
  /** Time before the first retry, in milliseconds; it doubles with each retry, up to `maxMs`. */
  readonly firstMs: number;
  readonly maxMs: number;
  readonly pause: (ms: number) => Promise<void>;
  /** Throws the error of the whole call if an error must not be retried, or no time is left for `pauseMs`. */
  readonly check: (error: unknown, pauseMs: number) => void;
}

/**
 * Retries a command after its first error until it succeeds or `check` throws. Callers run the command the first time
 * themselves, so that a success costs nothing.
 */
export async function retryAfter<T>(
  first: unknown,
  command: () => Promise<T>,
  { firstMs, maxMs, pause, check }: RetryLoop,
): Promise<T> {
  let error = first;
  for (let pauseMs = firstMs; ; pauseMs = Math.min(pauseMs * 2, maxMs)) {
    check(error, pauseMs);
    await pause(pauseMs);
    try {
      return await command();
    } catch (again) {
      error = again;
    }
  }
}

/**
 * Yields the values until the signal is aborted, then returns without an error: the caller that aborts knows the reason,
 * and a reader that has disconnected, such as a browser, is not a failure.
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

/**
 * Runs functions in their order. With `overlap`, each starts while its predecessor runs, so that a slice is encoded while the
 * store adds the one before it. Throws the first error, starts nothing after it, and leaves nothing running.
 */
export async function runInOrder(
  functions: readonly (() => Promise<void>)[],
  { overlap }: { readonly overlap: boolean },
): Promise<void> {
  let [previous, latest]: Promise<void>[] = [];
  try {
    for (const run of functions) {
      await (overlap ? previous : latest);
      [previous, latest] = [latest, run()];
      latest.catch(() => {}); // it is awaited later
    }
    await Promise.all([previous, latest]);
  } finally {
    await Promise.allSettled([previous, latest]);
  }
}
