/** I5: no node starts before what it waits for is committed. */
import type { Invariant, Violation } from './evidence.js';

export const inputsFirst: Invariant = ({ ledger, store, clockErrorMs }) => {
  const firstStart = new Map<string, number>();
  for (const { event, job, at } of ledger) {
    if (event === 'start' && !firstStart.has(job)) firstStart.set(job, at);
  }
  const violations: Violation[] = [];
  for (const { id, state, finishedAt, parent, data } of store.jobs) {
    if (parent === undefined || finishedAt === undefined || state !== 'completed') continue;
    // What a handler has put in its place, and what it has added to wake itself, comes after its start.
    if (['~', '.~', '!'].some((sign) => id.startsWith(`${parent.id}${sign}`))) continue;
    const startedAt = firstStart.get(parent.id);
    if (startedAt === undefined || startedAt >= finishedAt - clockErrorMs) continue;
    const message = `job ${parent.id} started at ${startedAt}, and job ${id}, which it waits for, ended at ${finishedAt}`;
    violations.push({ invariant: 'I5', ...workflowOf(data), message });
  }
  return violations;
};

function workflowOf(data: Readonly<Record<string, unknown>> | undefined): { workflow?: number } {
  const { w } = (data?.input ?? {}) as { w?: unknown };
  return typeof w === 'number' ? { workflow: w } : {};
}
