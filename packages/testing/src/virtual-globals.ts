/**
 * `Date` and the timers, following the clock of the handler that uses them and the machine's elsewhere.
 *
 * Replaced once for the process and dispatched by asynchronous context, so that tests with different times can run
 * side by side, and whatever is not a handler keeps real time.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import promises from 'node:timers/promises';
import type { Clock } from '@umbel/core/internal';

const clockHere = new AsyncLocalStorage<Clock>();
const real = {
  Date: globalThis.Date,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  sleep: promises.setTimeout,
};
let users = 0;

/** Runs `fn` with `Date` and timers on the clock, while they are replaced. */
export function withClock<T>(clock: Clock, fn: () => T): T {
  return clockHere.run(clock, fn);
}

/** Replaces `Date` and the timers; gives a function that ends it, for this user of them. */
export function replaceGlobals(): () => void {
  users += 1;
  if (users === 1) install(virtual);
  let isReplaced = true;
  return () => {
    if (!isReplaced) return;
    isReplaced = false;
    users -= 1;
    if (users === 0) install(real);
  };
}

function install({ sleep, ...globals }: typeof real): void {
  Object.assign(globalThis, globals);
  promises.setTimeout = sleep;
  syncBuiltinESMExports();
}

/** A timer on the clock of a handler; as a timer of Node, it may be unref'd, which changes nothing here. */
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

type Callback = (...args: unknown[]) => void;

function clear(timer: unknown, clearReal: (timer: NodeJS.Timeout) => void): void {
  if (timer instanceof VirtualTimer) timer.clear();
  else clearReal(timer as NodeJS.Timeout);
}

const virtual = {
  Date: new Proxy(real.Date, {
    construct(target, args: unknown[], newTarget) {
      const clock = clockHere.getStore();
      return Reflect.construct(target, args.length === 0 && clock ? [clock.now()] : args, newTarget);
    },
    apply: (target) => new target(clockHere.getStore()?.now() ?? target.now()).toString(),
    get(target, property, receiver) {
      const clock = property === 'now' ? clockHere.getStore() : undefined;
      return clock ? () => clock.now() : Reflect.get(target, property, receiver);
    },
  }),
  setTimeout(run: Callback, ms = 0, ...args: unknown[]) {
    const clock = clockHere.getStore();
    return clock ? new VirtualTimer(clock, () => run(...args), ms) : real.setTimeout(run, ms, ...args);
  },
  clearTimeout: (timer: unknown) => clear(timer, real.clearTimeout),
  setInterval(run: Callback, ms = 0, ...args: unknown[]) {
    const clock = clockHere.getStore();
    if (!clock) return real.setInterval(run, ms, ...args);
    const tick = (timer: VirtualTimer) => {
      timer.start(tick, ms);
      run(...args);
    };
    return new VirtualTimer(clock, tick, ms);
  },
  clearInterval: (timer: unknown) => clear(timer, real.clearInterval),
  sleep(ms = 0, value?: unknown, options?: Parameters<typeof real.sleep>[2]) {
    const clock = clockHere.getStore();
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
} as unknown as typeof real; // timers of another class: what Node's types add to them, handlers do not use
