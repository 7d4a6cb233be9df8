import { type Fault, pause } from './fault.js';

/** How long is waited for a workflow that has not ended: on a quick machine they are soon over. */
const PATIENCE_MS = 1000;
const LOOK_MS = 10;

/** A workflow that has not ended is revoked, sometimes twice at once. */
export function revoke(everyMs: Fault['everyMs']): Fault {
  return {
    name: 'revoke',
    everyMs,
    async strike({ driver }, random, signal) {
      for (let waitedMs = 0; waitedMs < PATIENCE_MS && !signal.aborted; waitedMs += LOOK_MS) {
        if (await driver.revokeOne(random)) return true;
        await pause(LOOK_MS, signal);
      }
      return false;
    },
  };
}
