/**
 * Messages between a supervisor and its child processes, their checks, and the sums of what the children report. Messages
 * contain no stored data except job ids and task names. Other messages of the program on the same channel are ignored.
 */

import type { ErrorRecord } from '../../base/errors.js';
import { isPlainObject } from '../../base/text.js';
import { readErrorRecord } from '../../codec/error-record.js';
import type { ActiveAttempt, AttemptCounts } from '../../control/answers.js';
import { NOTHING_REPAIRED, type RepairCounts } from '../../store/repair.js';
import type { Concurrency } from '../../task/option-checks.js';
import { NO_ATTEMPTS } from '../activity.js';
import type { AppWorker, CloseReason } from '../app-worker.js';
import type { WorkerHealth } from '../health.js';

/** A change for every process: the running ones now, and later ones when they start. */
export type WorkerChange =
  | { readonly umbel: 'set-concurrency'; readonly concurrency: Concurrency; readonly queue?: string }
  | { readonly umbel: 'add-queue'; readonly queue: string; readonly concurrency?: Concurrency }
  | { readonly umbel: 'remove-queue'; readonly queue: string };

/** A question to a process, which answers with the same id. */
export type Question = WorkerChange | { readonly umbel: 'health' } | { readonly umbel: 'metrics' };

/** Why a process must end: the worker closes, with a signal or without; or a file changed. */
export type EndReason = 'closed' | 'signal' | 'changed';

export type ToProcess =
  | (Question & { readonly id: number })
  /** `timeoutMs`: like `timeout` of `close`. */
  | { readonly umbel: 'close'; readonly reason: EndReason; readonly timeoutMs?: number }
  | { readonly umbel: 'abort' };

/** Attempts and concurrency of a process. */
export interface ProcessReport {
  readonly counts: AttemptCounts;
  readonly repairs: RepairCounts;
  readonly active: readonly ActiveAttempt[];
  /** Concurrency of each queue. */
  readonly concurrency: Readonly<Record<string, number>>;
}

export const EMPTY_REPORT: ProcessReport = {
  counts: NO_ATTEMPTS,
  repairs: NOTHING_REPAIRED,
  active: [],
  concurrency: {},
};

export type FromProcess =
  /** The program has created the worker, which receives messages. */
  | { readonly umbel: 'loaded' }
  | { readonly umbel: 'running' }
  /** The worker could not start. */
  | { readonly umbel: 'failed'; readonly error: ErrorRecord }
  /** The worker takes no more jobs. */
  | { readonly umbel: 'closing'; readonly reason: CloseReason }
  | { readonly umbel: 'report'; readonly report: ProcessReport }
  | {
      readonly umbel: 'answer';
      readonly id: number;
      readonly health?: WorkerHealth;
      readonly metrics?: readonly unknown[];
      readonly error?: ErrorRecord;
    };

/** Returns the message if it is one from a supervisor. */
export function readToProcess(message: unknown): ToProcess | undefined {
  if (!isPlainObject(message)) return undefined;
  const { umbel, id, queue, reason } = message;
  if (umbel === 'abort') return { umbel };
  if (umbel === 'close') {
    const timeoutMs = typeof message.timeoutMs === 'number' ? { timeoutMs: message.timeoutMs } : {};
    return reason === 'closed' || reason === 'signal' || reason === 'changed'
      ? { umbel, reason, ...timeoutMs }
      : undefined;
  }
  if (typeof id !== 'number') return undefined;
  if (umbel === 'health' || umbel === 'metrics') return { umbel, id };
  const concurrency = readConcurrency(message.concurrency);
  if (umbel === 'set-concurrency' && concurrency !== undefined)
    return { umbel, id, concurrency, ...(typeof queue === 'string' && { queue }) };
  if (typeof queue !== 'string') return undefined;
  if (umbel === 'add-queue') return { umbel, id, queue, ...(concurrency !== undefined && { concurrency }) };
  return umbel === 'remove-queue' ? { umbel, id, queue } : undefined;
}

/** Returns the message if it is one from a child process of a worker. */
export function readFromProcess(message: unknown): FromProcess | undefined {
  if (!isPlainObject(message)) return undefined;
  const { umbel } = message;
  const error = readErrorRecord(message.error);
  if (umbel === 'loaded' || umbel === 'running') return { umbel };
  if (umbel === 'failed') return error && { umbel, error };
  if (umbel === 'closing')
    return isCloseReason(message.reason) ? { umbel, reason: message.reason } : undefined;
  if (umbel === 'report') {
    const report = readReport(message.report);
    return report && { umbel, report };
  }
  if (umbel !== 'answer' || typeof message.id !== 'number') return undefined;
  const health = readHealth(message.health);
  const metrics = Array.isArray(message.metrics) ? { metrics: message.metrics as unknown[] } : {};
  return { umbel, id: message.id, ...(health && { health }), ...metrics, ...(error && { error }) };
}

const CLOSE_REASONS: readonly unknown[] = ['closed', 'signal', 'control', 'max-jobs', 'max-memory'];

function isCloseReason(value: unknown): value is CloseReason {
  return CLOSE_REASONS.includes(value);
}

function readConcurrency(value: unknown): Concurrency | undefined {
  if (typeof value === 'number') return value;
  if (!isPlainObject(value)) return undefined;
  const { min, max } = value;
  return typeof min === 'number' && typeof max === 'number' ? { min, max } : undefined;
}

function readReport(value: unknown): ProcessReport | undefined {
  if (!isPlainObject(value) || !Array.isArray(value.active)) return undefined;
  return {
    counts: readNumbers(value.counts, EMPTY_REPORT.counts),
    repairs: readNumbers(value.repairs, EMPTY_REPORT.repairs),
    active: value.active.flatMap(readAttempt),
    concurrency: readConcurrencies(value.concurrency),
  };
}

function readConcurrencies(value: unknown): Record<string, number> {
  const entries = Object.entries(isPlainObject(value) ? value : {});
  return Object.fromEntries(
    entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

/** Returns the numbers of `value` for the keys of `like`, with the numbers of `like` for missing ones. */
function readNumbers<Key extends string>(
  value: unknown,
  like: Readonly<Record<Key, number>>,
): Record<Key, number> {
  const numbers = isPlainObject(value) ? value : {};
  const keys = Object.keys(like) as Key[];
  const number = (key: Key) => (typeof numbers[key] === 'number' ? numbers[key] : like[key]);
  return Object.fromEntries(keys.map((key) => [key, number(key)])) as Record<Key, number>; // it has the same keys
}

function readAttempt(value: unknown): ActiveAttempt[] {
  if (!isPlainObject(value)) return [];
  const { id, task, queue, runId, attempt, startedAt } = value;
  if (typeof id !== 'string' || typeof task !== 'string' || typeof queue !== 'string') return [];
  if (typeof attempt !== 'number' || typeof startedAt !== 'string') return []; // a date in JSON
  return [
    { id, task, queue, ...(typeof runId === 'string' && { runId }), attempt, startedAt: new Date(startedAt) },
  ];
}

function readHealth(value: unknown): WorkerHealth | undefined {
  if (!isPlainObject(value) || !Array.isArray(value.reasons)) return undefined;
  const reasons = value.reasons.filter((reason): reason is string => typeof reason === 'string');
  return { live: value.live === true, ready: value.ready === true, reasons };
}

/** Returns the changes that a later process must repeat: `changes` and `change`, without those that it replaces. */
export function withChange(changes: readonly WorkerChange[], change: WorkerChange): WorkerChange[] {
  return [...changes.filter((earlier) => !isReplaced(earlier, change)), change];
}

function isReplaced(earlier: WorkerChange, later: WorkerChange): boolean {
  if (later.umbel === 'set-concurrency') {
    return (
      earlier.umbel === 'set-concurrency' && (later.queue === undefined || later.queue === earlier.queue)
    );
  }
  return later.umbel === 'remove-queue' && earlier.queue === later.queue;
}

// Sums: the reports and the health of several processes as those of one worker.

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
 * Returns the health of a worker with several processes. It is ready while one process is ready. It stays live
 * when a process ends, because the supervisor restarts that. It is not live if a process reports so, or if none answers.
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
