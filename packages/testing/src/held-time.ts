/**
 * Handlers that hold the time of a test: they have neither ended nor do they wait for the engine.
 *
 * One that does real work is waited for. One that listens for the abort of its signal, while nothing is under way in the
 * process that could wake it, waits for the engine too: only that aborts a signal. Whoever holds time for long is named,
 * since a test would otherwise hang without a word.
 */
import { type EventEmitter, getEventListeners } from 'node:events';
import { clearInterval, isFakedTimer, performance, setInterval } from '@umbel/core/internal/real-timers';
import { FakedTimersError } from './errors.js';
import { pendingTimers } from './handler-timers.js';

/** A handler that runs. */
export interface RunningHandler {
  /** Names it for people. */
  readonly title: string;
  readonly signal: () => AbortSignal;
  /** Whether it waits for nothing but its signal, as far as is known. */
  isIdle: boolean;
  /** How often it was seen to, one time after the other. */
  idleLooks: number;
  isReported: boolean;
}

const LOOK_MS = 20;
/** What Node does not show, such as work on its thread pool, has this many looks to end. */
const IDLE_LOOKS = 3;
/** Shorter than the time that test runners give a test. */
const REPORT_MS = 3000;
/** A timer of `node:timers/promises` listens to the signal that it is given. */
const TIMER_LISTENER = 'bound cancelListenerHandler';
/** A kind that Node does not know: timers of a faked clock, which the test moves. */
const FAKED = 'faked timers';
/** The engine's own turns. */
const NO_WORK = 'Immediate';
/**
 * Of these the number before does not say: a request on a connection that was there opens nothing, and a timer of the
 * test runner may end while one of a handler begins.
 */
const NONE_BEFORE = ['TCPSocketWrap', 'Timeout'];

export class HeldTime {
  readonly #changed: EventEmitter;
  /** What was open before the handlers began, such as the channels of the test runner. */
  #before: ReadonlyMap<string, number> = new Map();

  /** `changed` emits `change` whenever a handler has ended, or begins to wait for the engine. */
  constructor(changed: EventEmitter) {
    this.#changed = changed;
  }

  /** No handler runs: what is open now is none's work. */
  begin(): void {
    this.#before = activeResources();
  }

  /** Whether a handler holds time. One that was idle is looked at again: something may have woken it. */
  isHeldBy(handler: RunningHandler): boolean {
    if (handler.isIdle && !(waitsForSignal(handler) && this.#work(0).length === 0)) {
      handler.isIdle = false;
      handler.idleLooks = 0;
    }
    return !handler.isIdle;
  }

  /**
   * Resolves when one of these handlers has ended, or waits for the engine, or is idle.
   * @throws {FakedTimersError} if they wait for timers of which a test has the time.
   */
  async changes(handlers: readonly RunningHandler[]): Promise<void> {
    const startedAt = performance.now();
    let look: NodeJS.Timeout | undefined;
    let changed: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        changed = resolve;
        this.#changed.once('change', resolve);
        // It keeps the process alive until there is something to say about the handlers.
        look = setInterval(() => {
          const work = this.#work(look?.hasRef() ? 1 : 0);
          if (isOneIdle(handlers, work.length === 0)) return resolve();
          if (!look?.hasRef() || performance.now() - startedAt < REPORT_MS) return;
          look.unref();
          const isFaked = isFakedTimer(globalThis.setTimeout) && work.every((type) => type === FAKED);
          if (isFaked) return reject(waitsForFakes(handlers));
          report(handlers, work);
        }, LOOK_MS);
      });
    } finally {
      clearInterval(look);
      if (changed !== undefined) this.#changed.off('change', changed);
    }
  }

  /** The kinds of work that go on in the process, but for `own` timers. */
  #work(own: number): string[] {
    const active = activeResources();
    active.set('Timeout', pendingTimers() ?? (active.get('Timeout') ?? 0) - own);
    active.set(FAKED, fakedTimers());
    const before = (type: string) => (NONE_BEFORE.includes(type) ? 0 : (this.#before.get(type) ?? 0));
    return [...active].filter(([type, count]) => count > before(type)).map(([type]) => type);
  }
}

/** How many timers of a faked clock are to run; of one that does not tell, none. */
function fakedTimers(): number {
  const { clock } = globalThis.setTimeout as { clock?: { countTimers?: () => number } };
  return clock?.countTimers?.() ?? 0;
}

/** How many of each kind of resource keep the process alive. */
function activeResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo())
    if (type !== NO_WORK) counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}

/** Notes a look at each; whether one of them is idle now. */
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

/** Whether it was given to `AbortSignal.any`, which adds no listener. */
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
      `${handler.title} has held the time of its test for ${REPORT_MS / 1000} s: it has not ended, and waits for ` +
        `something other than ctx.sleep(), a result or its timeout.${open} See docs/testing.md, "Virtual time".`,
      'UmbelTestingWarning',
    );
  }
}

function waitsForFakes(handlers: readonly RunningHandler[]): FakedTimersError {
  return new FakedTimersError(
    `${handlers.map(({ title }) => title).join(', ')} did not end within ${REPORT_MS / 1000} s, ` +
      'and the timers of this process are faked: a handler that waits for one of them waits for the test, ' +
      "which waits for the handler. Fake nothing but Date, vi.useFakeTimers({ toFake: ['Date'] }), " +
      'and use ctx.sleep() or testApp(app, { virtualTimers: true }).',
  );
}
