/** I8: nothing of a workflow starts later than a second after its revoke was acknowledged; it ends revoked, or as if it were not revoked. */
import type { Invariant, Violation } from './evidence.js';

const GRACE_MS = 1000;

export const revokeHolds: Invariant = ({ workflows }) => {
  const violations: Violation[] = [];
  for (const { index, run, revokes, entries, final } of workflows) {
    const report = (message: string) => violations.push({ invariant: 'I8', workflow: index, run, message });
    const [first] = revokes.filter(({ answer }) => answer);
    if (first === undefined) {
      if (final?.state === 'revoked') report('it is revoked, and no revoke was acknowledged');
      continue;
    }
    for (const { event, at, job } of entries) {
      if (event === 'start' && at > first.at + GRACE_MS) {
        report(`job ${job} started ${at - first.at} ms after the revoke was acknowledged`);
      }
    }
    const known = entries.some(({ event }) => event === 'start') || final !== undefined;
    if (known && final === undefined) report('it was revoked and has no final state');
  }
  return violations;
};
