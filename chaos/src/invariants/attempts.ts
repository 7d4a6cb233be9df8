/** I11: the attempts that a user has granted are used by failures of the handler, and by nothing else. */
import type { Invariant, Violation } from './evidence.js';

export const attempts: Invariant = ({ ledger }) => {
  const failed = new Map<string, Set<number>>();
  for (const { job, attempt, how } of ledger) {
    if (how !== 'asked' && how !== 'failed') continue;
    const known = failed.get(job);
    if (known === undefined) failed.set(job, new Set([attempt]));
    else known.add(attempt);
  }
  const violations: Violation[] = [];
  const told = new Set<string>();
  for (const { event, job, attempt, workflow } of ledger) {
    if (event !== 'start' || attempt === 1 || told.has(job)) continue;
    const used = failed.get(job) ?? new Set();
    for (let before = 1; before < attempt; before += 1) {
      if (used.has(before)) continue;
      told.add(job);
      const message = `job ${job} was started as attempt ${attempt}, and its handler did not fail in attempt ${before}`;
      violations.push({ invariant: 'I11', workflow, message });
    }
  }
  return violations;
};
