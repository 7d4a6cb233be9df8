import type { Fault } from './fault.js';

/** A workflow that has not ended is revoked, sometimes twice at once. */
export function revoke(everyMs: Fault['everyMs']): Fault {
  return {
    name: 'revoke',
    everyMs,
    strike: ({ driver }, random) => driver.revokeOne(random),
  };
}
