import { type Fault, pause } from './fault.js';

/** Counts the workers that poison has ended; what strikes is sent with the other workflows. */
export function poisonDeaths(): Fault {
  return {
    name: 'poison-death',
    everyMs: [0, 0],
    async strike({ pool }, _random, signal) {
      const before = pool.ended + pool.silent;
      while (!signal.aborted && pool.ended + pool.silent === before) await pause(100, signal);
      return pool.ended + pool.silent > before;
    },
  };
}
