/**
 * Counts the real timers of handlers under Jest, where the number of all active timers is useless: Jest has its own
 * timers. Without Jest nothing is replaced.
 */
import { isFakedTimer } from '@umbel/core/internal/real-timers';

const isJest = process.env.JEST_WORKER_ID !== undefined;
const pending = new Set<unknown>();
let users = 0;
let restore = () => {};

/** Returns the number of pending timers of handlers; undefined without Jest. */
export function pendingTimers(): number | undefined {
  return isJest ? pending.size : undefined;
}

/** Counts timers that are created while `isInHandler` returns true; returns a function that ends it for this caller. */
export function watchTimers(isInHandler: () => boolean): () => void {
  // Faked timers belong to the test: handlers do no real work with them.
  if (!isJest || (users === 0 && isFakedTimer(globalThis.setTimeout))) return () => {};
  users += 1;
  if (users === 1) restore = replace(isInHandler);
  let isWatched = true;
  return () => {
    if (!isWatched) return;
    isWatched = false;
    users -= 1;
    if (users === 0) restore();
  };
}

type Callback = (...args: unknown[]) => void;

function replace(isInHandler: () => boolean): () => void {
  const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  const forget = (timer: unknown) => void pending.delete(timer);
  const counting = {
    setTimeout(run: Callback, ms?: number, ...args: unknown[]) {
      if (!isInHandler()) return setTimeout(run, ms, ...args);
      const timer = setTimeout(() => {
        forget(timer);
        run(...args);
      }, ms);
      pending.add(timer);
      return timer;
    },
    setInterval(run: Callback, ms?: number, ...args: unknown[]) {
      const timer = setInterval(run, ms, ...args);
      if (isInHandler()) pending.add(timer);
      return timer;
    },
    clearTimeout(timer: NodeJS.Timeout) {
      forget(timer);
      clearTimeout(timer);
    },
    clearInterval(timer: NodeJS.Timeout) {
      forget(timer);
      clearInterval(timer);
    },
  };
  const originals = { setTimeout, clearTimeout, setInterval, clearInterval };
  Object.assign(globalThis, counting);
  return () => {
    // Functions that other code has replaced since, such as fakes, are restored by that code.
    for (const name of Object.keys(originals) as (keyof typeof originals)[])
      if (Object.is(globalThis[name], counting[name])) Object.assign(globalThis, { [name]: originals[name] });
    pending.clear();
  };
}
