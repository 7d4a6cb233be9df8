/** States of many tasks in one word. */
import { isFinal } from '../results/state.js';
import type { GraphState, StateCounts } from './node.js';

/** Of tasks that have all ended, the state that comes first here is told. */
const FINAL_ORDER = ['failed', 'expired', 'revoked', 'unknown', 'completed', 'skipped'];

/** True for what changes no more: also what is gone from the store. */
export function hasEnded(state: string): boolean {
  return isFinal(state) || state === 'unknown';
}

/** Where they stand together. */
export function summaryOf(counts: StateCounts): GraphState {
  const states = Object.keys(counts).filter((state) => (counts[state] ?? 0) > 0);
  const [first, ...others] = states;
  if (first === undefined) return 'pending';
  if (others.length === 0) return first;
  if (states.every(hasEnded)) return FINAL_ORDER.find((state) => states.includes(state)) ?? 'completed';
  return states.includes('active') || states.some(hasEnded) ? 'active' : 'waiting';
}

/** Both together. */
export function added(one: StateCounts, other: StateCounts): StateCounts {
  const sum: Record<string, number> = { ...one };
  for (const [state, count] of Object.entries(other)) sum[state] = (sum[state] ?? 0) + count;
  return sum;
}

export function totalOf(counts: StateCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
