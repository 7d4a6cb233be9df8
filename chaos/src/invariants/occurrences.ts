/** Each occurrence of a schedule is sent exactly once. */
import { scheduleName } from '../timed-tasks.js';
import type { Invariant, Violation } from './evidence.js';

export const occurrences: Invariant = ({ ledger, schedules }) => {
  if (schedules === undefined) return [];
  const jobs = new Map<string, Set<string>>();
  for (const { event, value, job } of ledger) {
    if (event !== 'start' || typeof value !== 'string' || !value.startsWith('beat-')) continue;
    jobs.set(value, (jobs.get(value) ?? new Set()).add(job));
  }
  const violations: Violation[] = [];
  const report = (message: string) => violations.push({ invariant: 'occurrences', message });
  for (const [occurrence, ids] of jobs)
    if (ids.size > 1) report(`${occurrence} was sent as ${ids.size} jobs: ${[...ids].join(', ')}`);
  const { count, from, to } = schedules;
  for (let index = 0; index < count; index += 1) {
    for (let second = Math.ceil(from / 1000); second * 1000 <= to; second += 1) {
      const occurrence = `${scheduleName(index)} ${new Date(second * 1000).toISOString()}`;
      if (!jobs.has(occurrence)) report(`${occurrence} was never sent`);
    }
  }
  return violations;
};
