/**
 * Abort signals that any number of places listen to. Node prints `MaxListenersExceededWarning` at the eleventh listener
 * of a signal, although waiting for twelve results with one signal, or sleeping twelve times, leaks nothing.
 */
import { setMaxListeners } from 'node:events';
import { type Link, LinkedItems } from './linked-list.js';
import { clearTimeout, setTimeout } from './real-timers.js';

type Listener = (reason: unknown) => void;

/** The listeners of each signal. The signal itself has one, while there are any. */
const listenersOf = new WeakMap<AbortSignal, LinkedItems<Listener>>();

/** A controller whose signal is handed to code that may add as many listeners as it likes. */
export function createAbortController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/**
 * Calls `listener` once, with the reason, when the signal aborts; at once if it has aborted. Returns a function that
 * removes the listener. Adds one event listener to the signal for all of them.
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
  const signal = target as AbortSignal; // what `listenTo` has added this to
  const listeners = listenersOf.get(signal);
  listenersOf.delete(signal);
  for (const listener of listeners ?? []) listener(signal.reason);
}

// The parts of waiting: what ends a pause early, what ends a wait as a whole, and how an iteration ends by a signal.

/** Rings once or more; a wait ends at the first ring, also at one that came before, or after a time. */
export class WakeUp {
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
export class CancellableWait {
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
