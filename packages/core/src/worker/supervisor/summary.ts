/** Combines the reports and the health of several processes into those of one worker. */
import type { ActiveAttempt } from '../../control/answers.js';
import type { AppWorker } from '../app-worker.js';
import type { WorkerHealth } from '../health.js';
import { EMPTY_REPORT, type ProcessReport } from './messages.js';

/** Returns the sum of several reports. */
export function summed(reports: readonly ProcessReport[]): ProcessReport {
  return {
    counts: sums(
      reports.map(({ counts }) => counts),
      EMPTY_REPORT.counts,
    ),
    repairs: sums(
      reports.map(({ repairs }) => repairs),
      EMPTY_REPORT.repairs,
    ),
    active: reports.flatMap(({ active }) => active).toSorted(byStart),
    concurrency: sums(
      reports.map(({ concurrency }) => concurrency),
      Object.fromEntries(
        reports.flatMap(({ concurrency }) => Object.keys(concurrency)).map((queue) => [queue, 0]),
      ),
    ),
  };
}

function byStart(a: ActiveAttempt, b: ActiveAttempt): number {
  return a.startedAt.getTime() - b.startedAt.getTime();
}

function sums<Key extends string>(
  all: readonly Readonly<Record<Key, number>>[],
  zeros: Readonly<Record<Key, number>>,
): Record<Key, number> {
  const total: Record<Key, number> = { ...zeros };
  for (const counts of all) for (const key of Object.keys(zeros) as Key[]) total[key] += counts[key] ?? 0;
  return total;
}

/** Health of one process: its own answer, or why there is none. */
export type ProcessHealth = WorkerHealth | 'starting' | 'silent';

/**
 * Returns the health of a worker with several processes. It is ready while one process is ready. An ended process does
 * not make it dead, because the supervisor restarts it. It is dead if a process reports that, or if no process answers.
 */
export function healthOfAll(state: AppWorker['state'], processes: readonly ProcessHealth[]): WorkerHealth {
  const reasons = state === 'running' ? [] : [`the worker is ${state}`];
  for (const [index, health] of processes.entries()) {
    if (health === 'starting') reasons.push(`process ${index} is starting`);
    else if (health === 'silent') reasons.push(`process ${index} does not answer`);
    else reasons.push(...health.reasons.map((reason) => `process ${index}: ${reason}`));
  }
  const answers = processes.filter((health) => typeof health === 'object');
  const isSilent = processes.length > 0 && processes.every((health) => health === 'silent');
  return {
    live: state !== 'closed' && !isSilent && answers.every(({ live }) => live),
    ready: state === 'running' && answers.some(({ ready }) => ready),
    reasons,
  };
}
