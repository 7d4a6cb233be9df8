/**
 * Detects handlers that block virtual time: they have not ended, and they do not wait for the engine.
 *
 * The engine waits for a handler that does real work. A handler that listens to its signal, while nothing active in the
 * process could wake it, counts as waiting for the engine, because only the engine aborts the signal. Handlers that block
 * time for long are reported in a warning, because the test would otherwise hang without a message.
 */

import { type EventEmitter, getEventListeners } from 'node:events';
import { clearInterval, isFakedTimer, performance, setInterval } from '@umbel/core/internal/real-timers';
import { FakedTimersError } from './errors.js';

export interface RunningHandler {
  /** Name for messages. */
  readonly title: string;
  readonly signal: () => AbortSignal;
  /** Whether it is known to wait only for its signal. */
  isIdle: boolean;
  /** Number of consecutive checks in which it was idle. */
  idleLooks: number;
  isReported: boolean;
}

const CHECK_MS = 20;
/** Number of checks before a handler counts as idle: Node does not show all work, such as that on its thread pool. */
const IDLE_LOOKS = 3;
/** Shorter than the default timeout of test runners. */
const REPORT_MS = 3000;
/** Listener that a timer of `node:timers/promises` adds to its signal. */
const TIMER_LISTENER = 'bound cancelListenerHandler';
/** Additional kind: timers of a faked clock, which only the test advances. */
const FAKED = 'faked timers';
/** Resource of the engine's own `setImmediate` calls. */
const NO_WORK = 'Immediate';
/**
 * Kinds whose earlier number is not subtracted: a request on an open connection opens no resource, and a timer of the test
 * runner may end while a timer of a handler starts.
 */
const NOT_SUBTRACTED = ['TCPSocketWrap', 'Timeout'];

export class HeldTime {
  readonly #changed: EventEmitter;
  /** Active resources before the handlers started, such as channels of the test runner. */
  #before: ReadonlyMap<string, number> = new Map();

  /** @param changed Emits `change` when a handler ends or starts to wait for the engine. */
  constructor(changed: EventEmitter) {
    this.#changed = changed;
  }

  /** Call it while no handler runs: the resources active now do not belong to handlers. */
  begin(): void {
    this.#before = activeResources();
  }

  /** Whether a handler blocks time. An idle one is checked again, because something may have woken it. */
  isBlockedBy(handler: RunningHandler): boolean {
    if (handler.isIdle && !(waitsForSignal(handler) && this.#work(0).length === 0)) {
      handler.isIdle = false;
      handler.idleLooks = 0;
    }
    return !handler.isIdle;
  }

  /**
   * Resolves when one of these handlers ends, waits for the engine, or is idle.
   * @throws {FakedTimersError} if they wait for faked timers.
   */
  async changes(handlers: readonly RunningHandler[]): Promise<void> {
    const startedAt = performance.now();
    let look: NodeJS.Timeout | undefined;
    let changed: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        changed = resolve;
        this.#changed.once('change', resolve);
        // The interval keeps the process alive until the handlers are reported.
        look = setInterval(() => {
          const work = this.#work(look?.hasRef() ? 1 : 0);
          if (isOneIdle(handlers, work.length === 0)) return resolve();
          if (!look?.hasRef() || performance.now() - startedAt < REPORT_MS) return;
          look.unref();
          const isFaked = isFakedTimer(globalThis.setTimeout) && work.every((type) => type === FAKED);
          if (isFaked) return reject(fakedTimersError(handlers));
          report(handlers, work);
        }, CHECK_MS);
      });
    } finally {
      clearInterval(look);
      if (changed !== undefined) this.#changed.off('change', changed);
    }
  }

  /** Returns the kinds of active resources in the process, without `ownTimers` timers of this class. */
  #work(ownTimers: number): string[] {
    const active = activeResources();
    active.set('Timeout', pendingTimers() ?? (active.get('Timeout') ?? 0) - ownTimers);
    active.set(FAKED, fakedTimers());
    const before = (type: string) => (NOT_SUBTRACTED.includes(type) ? 0 : (this.#before.get(type) ?? 0));
    return [...active].filter(([type, count]) => count > before(type)).map(([type]) => type);
  }
}

/** Returns the number of pending timers of a faked clock; 0 if the clock does not count them. */
function fakedTimers(): number {
  const { clock } = globalThis.setTimeout as { clock?: { countTimers?: () => number } };
  return clock?.countTimers?.() ?? 0;
}

/** Returns the number of resources of each kind that keep the process alive. */
function activeResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo())
    if (type !== NO_WORK) counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}

/** Updates the idle checks of each handler. Returns whether one is idle. */
function isOneIdle(handlers: readonly RunningHandler[], isNothingUnderWay: boolean): boolean {
  for (const handler of handlers) {
    handler.idleLooks = isNothingUnderWay && waitsForSignal(handler) ? handler.idleLooks + 1 : 0;
    handler.isIdle = handler.idleLooks >= IDLE_LOOKS;
  }
  return handlers.some(({ isIdle }) => isIdle);
}

function waitsForSignal(handler: RunningHandler): boolean {
  const signal = handler.signal();
  const listeners = getEventListeners(signal, 'abort');
  if (signal.aborted || listeners.some(({ name }) => name === TIMER_LISTENER)) return false;
  return listeners.length > 0 || hasDependents(signal);
}

/** Whether the signal was passed to `AbortSignal.any`, which adds no listener. */
function hasDependents(signal: AbortSignal): boolean {
  const key = Object.getOwnPropertySymbols(signal).find(
    ({ description }) => description === 'kDependantSignals',
  );
  const dependents: unknown = key && Reflect.get(signal, key);
  return typeof dependents === 'object' && dependents !== null && Number(Reflect.get(dependents, 'size')) > 0;
}

function report(handlers: readonly RunningHandler[], work: readonly string[]): void {
  const open = work.length > 0 ? ` Open in this process: ${work.join(', ')}.` : '';
  for (const handler of handlers) {
    if (handler.isReported) continue;
    handler.isReported = true;
    process.emitWarning(
      `${handler.title} has blocked virtual time for ${REPORT_MS / 1000} s: it has not ended, and waits for ` +
        `something other than ctx.sleep(), a result or its timeout.${open} See docs/testing.md, "Virtual time".`,
      'UmbelTestingWarning',
    );
  }
}

function fakedTimersError(handlers: readonly RunningHandler[]): FakedTimersError {
  return new FakedTimersError(
    `${handlers.map(({ title }) => title).join(', ')} did not end within ${REPORT_MS / 1000} s, ` +
      'and the timers of this process are faked: a handler that waits for a faked timer waits for the test, ' +
      "which waits for the handler. Fake only Date, vi.useFakeTimers({ toFake: ['Date'] }), " +
      'and use ctx.sleep() or testApp(app, { virtualTimers: true }).',
  );
}

// The real timers of handlers under Jest, where the number of all active timers includes Jest's own.

const isJest = process.env.JEST_WORKER_ID !== undefined;
const pending = new Set<unknown>();
let users = 0;
let restore = () => {};

/** Returns the number of pending timers of handlers; undefined without Jest. */
function pendingTimers(): number | undefined {
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
