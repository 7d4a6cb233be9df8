/** I3: what was to run has run, and again only when a fault hit that run. */
import type { LedgerEntry } from '../ledger.js';
import { difference, missingInEveryWorld } from './comparison.js';
import { faultsIn, type Invariant, isComposed, show, type Violation } from './evidence.js';

export const runs: Invariant = ({ workflows, ledger, history, lockMs }) => {
  const violations: Violation[] = [];
  for (const workflow of workflows) {
    const { final, index, run, entries, isFed, revokes } = workflow;
    // Nobody was told that it was stored: it is whole, or absent.
    if (run === undefined && entries.length > 0 && !isFed && isComposed(workflow)) {
      for (const message of missingInEveryWorld(workflow)) {
        violations.push({ invariant: 'I3', workflow: index, run, message: `not acknowledged: ${message}` });
      }
    }
    // One that ended before it was revoked may have left steps behind, which did not start then.
    if (!isComposed(workflow) || final === undefined || revokes.some(({ answer }) => answer)) continue;
    for (const message of difference(workflow, final.outcome).missing) {
      violations.push({ invariant: 'I3', workflow: index, run, message });
    }
  }
  for (const starts of startsOfAttempts(ledger).values()) {
    for (const [index, next] of starts.entries()) {
      const before = starts[index - 1];
      if (before === undefined) continue;
      // A claim is older than its start: a reply that was late, or a process that stood still, has used up its lock.
      const from = before.at - lockMs;
      const faults = faultsIn(history, [before.pid, next.pid], from, next.at);
      if (faults.some(({ runsAgain }) => runsAgain !== false)) continue;
      const message =
        `job ${next.job}, attempt ${next.attempt}, node ${next.node} with ${show(next.value)} ran in process ` +
        `${before.pid} at ${before.at} and again in process ${next.pid} at ${next.at}, and no fault hit it between`;
      violations.push({ invariant: 'I3', workflow: next.workflow, message });
    }
  }
  return violations;
};

/** The starts of each attempt of a job, of one item if it has several, in the order of time. */
function startsOfAttempts(ledger: readonly LedgerEntry[]): ReadonlyMap<string, LedgerEntry[]> {
  const starts = new Map<string, LedgerEntry[]>();
  for (const entry of ledger) {
    if (entry.event !== 'start') continue;
    const key = JSON.stringify([entry.job, entry.attempt, entry.value]);
    const known = starts.get(key);
    if (known === undefined) starts.set(key, [entry]);
    else known.push(entry);
  }
  return starts;
}
