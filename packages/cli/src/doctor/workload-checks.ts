/** Judges whether the jobs that wait are taken by somebody. */
import type { QueueInfo, WorkerInfo } from '@umbel/core';
import { findingsOf } from '../operating/findings.js';
import { counted } from '../output/text.js';
import { type Check, ok } from './check.js';

export function workloadChecks(
  workers: readonly WorkerInfo[],
  queues: readonly QueueInfo[],
  now: number,
): Check[] {
  const findings = findingsOf(workers, queues, now);
  if (findings.length > 0) return findings;
  const online = workers.filter(({ state }) => state === 'online').length;
  const waiting = queues.reduce((total, { counts }) => total + counts.waiting, 0);
  return [
    ok(
      'workload',
      `${counted(online, 'worker')} online, ${counted(waiting, 'job')} waiting in ${counted(queues.length, 'queue')}`,
    ),
  ];
}
