/**
 * The timers and the clock of the machine, also while a test has faked them: what waits for the store must not stand
 * still with the time that a test replaces.
 *
 * They are read once, when this module is loaded. Node's own modules come first, since fakes replace the globals. Where
 * the timers are faked already, those of `@sinonjs/fake-timers` (which Vitest and Jest use) say what they replaced.
 */
import { performance as machineTime } from 'node:perf_hooks';
import timers from 'node:timers';

type TimerName =
  | 'setTimeout'
  | 'clearTimeout'
  | 'setInterval'
  | 'clearInterval'
  | 'setImmediate'
  | 'clearImmediate';

/** A function of a faked clock, which keeps the functions that it has replaced under their names. */
interface Faked {
  readonly clock?: Readonly<Record<string, unknown>>;
  /** Of the older fakes of Jest, which keep nothing. */
  readonly _isMockFunction?: true;
}

/** Whether it belongs to a fake of `@sinonjs/fake-timers`, or is a mock. */
export function isFakedTimer(timer: unknown): boolean {
  const { clock, _isMockFunction } = timer as Faked;
  return clock !== undefined || _isMockFunction === true;
}

/** The names of those that were faked when this module was loaded, and of which no original was to be found. */
export const timersFakedAtLoad: TimerName[] = [];

export const setTimeout = original('setTimeout');
export const clearTimeout = original('clearTimeout');
export const setInterval = original('setInterval');
export const clearInterval = original('clearInterval');
export const setImmediate = original('setImmediate');
export const clearImmediate = original('clearImmediate');
export const performance = machineTime;

function original<Name extends TimerName>(name: Name): (typeof timers)[Name] {
  for (const faked of [timers[name], globalThis[name]]) {
    let timer: unknown = faked;
    // A clock may have been installed over another one.
    while (typeof timer === 'function' && isFakedTimer(timer)) timer = (timer as Faked).clock?.[`_${name}`];
    if (typeof timer === 'function') return timer as (typeof timers)[Name]; // what stood under this name
  }
  timersFakedAtLoad.push(name);
  return timers[name];
}
