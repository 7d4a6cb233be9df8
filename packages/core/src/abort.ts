/**
 * Abort signals that any number of places listen to. Node prints `MaxListenersExceededWarning` at the eleventh listener
 * of a signal, although waiting for twelve results with one signal, or sleeping twelve times, leaks nothing.
 */
import { setMaxListeners } from 'node:events';
import { type Link, LinkedItems } from './linked-items.js';

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
