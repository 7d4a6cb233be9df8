/**
 * `Date` and timers that follow the virtual clock inside handlers and the machine's clock elsewhere.
 *
 * They are replaced once for the process and choose the clock by asynchronous context. So tests with different times can
 * run in parallel, and code outside handlers keeps real time.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import promises from 'node:timers/promises';
import type { Clock } from '@umbel/core/internal';

const currentClock = new AsyncLocalStorage<Clock>();
/** The functions that were replaced. They may be fakes of the test. */
let real = currentGlobals();
let users = 0;

/** Runs `fn` with `Date` and timers on this clock, while they are replaced. */
export function withClock<T>(clock: Clock, fn: () => T): T {
  return currentClock.run(clock, fn);
}

/** Replaces `Date` and the timers; returns a function that ends it for this caller. */
export function replaceGlobals(): () => void {
  users += 1;
  if (users === 1) {
    // Fakes that were installed over the replacements of an earlier test may have restored them.
    real = { ...real, ...changedBy(virtual, currentGlobals()) };
    install(virtual);
  }
  let isReplaced = true;
  return () => {
    if (!isReplaced) return;
    isReplaced = false;
    users -= 1;
    if (users === 0) restore();
  };
}

function currentGlobals() {
  const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  const { setTimeout: sleep } = promises;
  return { Date: globalThis.Date, setTimeout, clearTimeout, setInterval, clearInterval, sleep };
}

/** Restores the replaced functions, except those that other code has replaced since: that code restores them. */
function restore(): void {
  install({ ...real, ...changedBy(virtual, currentGlobals()) });
}

/** Returns the functions that have changed. */
function changedBy(before: typeof real, now: typeof real): Partial<typeof real> {
  const names = Object.keys(now) as (keyof typeof real)[];
  return Object.fromEntries(
    names.filter((name) => now[name] !== before[name]).map((name) => [name, now[name]]),
  );
}

function install({ sleep, ...globals }: typeof real): void {
  Object.assign(globalThis, globals);
  promises.setTimeout = sleep;
  syncBuiltinESMExports();
}

/** A timer on the clock of a handler. `ref` and `unref` exist as in Node and do nothing. */
class VirtualTimer {
  readonly #clock: Clock;
  #handle: unknown;

  constructor(clock: Clock, run: (timer: VirtualTimer) => void, ms: number) {
    this.#clock = clock;
    this.start(run, ms);
  }

  start(run: (timer: VirtualTimer) => void, ms: number): void {
    this.#handle = this.#clock.setTimeout(() => run(this), Math.max(1, Number(ms) || 0));
  }

  clear(): void {
    this.#clock.clearTimeout(this.#handle);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

function now(): number {
  return (currentClock.getStore() ?? real.Date).now();
}

type Callback = (...args: unknown[]) => void;

function clear(timer: unknown, clearReal: (timer: NodeJS.Timeout) => void): void {
  if (timer instanceof VirtualTimer) timer.clear();
  else clearReal(timer as NodeJS.Timeout);
}

const virtual = {
  Date: new Proxy(real.Date, {
    construct(target, args: unknown[], newTarget) {
      return Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget);
    },
    apply: (target) => new target(now()).toString(),
    get: (target, property, receiver) => (property === 'now' ? now : Reflect.get(target, property, receiver)),
  }),
  setTimeout(run: Callback, ms = 0, ...args: unknown[]) {
    const clock = currentClock.getStore();
    return clock ? new VirtualTimer(clock, () => run(...args), ms) : real.setTimeout(run, ms, ...args);
  },
  clearTimeout: (timer: unknown) => clear(timer, real.clearTimeout),
  setInterval(run: Callback, ms = 0, ...args: unknown[]) {
    const clock = currentClock.getStore();
    if (!clock) return real.setInterval(run, ms, ...args);
    const tick = (timer: VirtualTimer) => {
      timer.start(tick, ms);
      run(...args);
    };
    return new VirtualTimer(clock, tick, ms);
  },
  clearInterval: (timer: unknown) => clear(timer, real.clearInterval),
  sleep(ms = 0, value?: unknown, options?: Parameters<typeof real.sleep>[2]) {
    const clock = currentClock.getStore();
    if (!clock) return real.sleep(ms, value, options);
    const signal = options?.signal;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const abort = () => {
        timer.clear();
        reject(signal?.reason);
      };
      const timer = new VirtualTimer(
        clock,
        () => {
          signal?.removeEventListener('abort', abort);
          resolve(value);
        },
        ms,
      );
      signal?.addEventListener('abort', abort, { once: true });
    });
  },
} as unknown as typeof real; // handlers do not use the other properties of Node's timers
