/**
 * The machine's timers and clock, even while a test fakes them: waiting for the store must not stop when a test stops
 * its time.
 *
 * They are read once, when this module is loaded. Node's own modules are preferred, because fakes replace the globals. If
 * the timers are already faked, the originals come from the fakes of `@sinonjs/fake-timers` (used by Vitest and Jest).
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

/** A faked timer function. Its clock holds the originals under their names with a `_` before them. */
interface Faked {
  readonly clock?: Readonly<Record<string, unknown>>;
  /** Set by Jest's legacy fake timers, which do not keep the originals. */
  readonly _isMockFunction?: true;
}

/** Returns whether the function is a fake of `@sinonjs/fake-timers` or a Jest mock. */
export function isFakedTimer(timer: unknown): boolean {
  const { clock, _isMockFunction } = timer as Faked;
  return clock !== undefined || _isMockFunction === true;
}

/** Timers that were faked when this module was loaded and whose originals could not be found. */
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
    // One fake clock may be installed on top of another.
    while (typeof timer === 'function' && isFakedTimer(timer)) timer = (timer as Faked).clock?.[`_${name}`];
    if (typeof timer === 'function') return timer as (typeof timers)[Name]; // the original of the same name
  }
  timersFakedAtLoad.push(name);
  return timers[name];
}
