import { isSendersFirst, LAST_VERSION } from '../versions.js';
import { type Fault, pause } from './fault.js';

/** Until a worker that is just starting may be ended. */
const LOOK_MS = 20;

/**
 * One step of a rolling deployment: a worker is ended by SIGTERM and started with the next version of the code. Senders
 * begin to use the version before the first worker has it, or after the last one. Then the next version follows.
 */
export function rollDeployments(everyMs: Fault['everyMs']): Fault {
  let version = 2;
  let nextSlot = 0;
  return {
    name: 'deployment',
    everyMs,
    async strike({ pool, driver }, _random, signal) {
      if (version > LAST_VERSION) return false;
      if (isSendersFirst(version)) driver.version = version;
      while (!(await pool.deploy(nextSlot, version))) {
        if (signal.aborted) return false;
        await pause(LOOK_MS, signal);
      }
      nextSlot += 1;
      if (nextSlot < pool.size) return true;
      driver.version = version;
      version += 1;
      nextSlot = 0;
      return true;
    },
  };
}
