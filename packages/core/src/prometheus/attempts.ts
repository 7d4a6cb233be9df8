/** Metrics of attempts, as they begin and end in this process. */
import type { Counter, Histogram } from 'prom-client';
import type { ActiveAttempt, ActivityListener, EndedAttempt } from '../running/worker/activity.js';
import { BoundedNames } from './bounded-names.js';
import type { Making } from './making.js';

/** Different classes of errors that are told apart. */
const ERROR_NAMES = 50;

export class AttemptMetrics implements ActivityListener {
  readonly #attempts: Counter<'task' | 'queue' | 'state'>;
  readonly #durations: Histogram<'task' | 'queue'>;
  readonly #waits: Histogram<'task' | 'queue'>;
  readonly #retries: Counter<'task'>;
  readonly #failures: Counter<'task' | 'error'>;
  readonly #errors = new BoundedNames(ERROR_NAMES);
  readonly #hasTask: (name: string) => boolean;

  constructor(making: Making, buckets: readonly number[], hasTask: (name: string) => boolean) {
    this.#hasTask = hasTask;
    this.#attempts = making.counter('attempts_total', 'Attempts that have ended, by how', [
      'task',
      'queue',
      'state',
    ]);
    this.#durations = making.histogram(
      'attempt_duration_seconds',
      'How long attempts took whose handler has run, however they ended',
      ['task', 'queue'],
      buckets,
    );
    this.#waits = making.histogram(
      'wait_seconds',
      'How long jobs waited for a worker, until their first attempt, since they were sent and their delay was over; ' +
        'without steps that waited for others',
      ['task', 'queue'],
      buckets,
    );
    this.#retries = making.counter('retries_total', 'Attempts that are followed by another', ['task']);
    this.#failures = making.counter(
      'failures_total',
      'Jobs that have failed for good by themselves, by class of error',
      ['task', 'error'],
    );
  }

  started({ task, queue, waitedMs }: ActiveAttempt): void {
    if (waitedMs !== undefined) this.#waits.observe({ task: this.#nameOf(task), queue }, waitedMs / 1000);
  }

  ended({ task: given, queue }: ActiveAttempt, { end, durationMs, error, isUpstream }: EndedAttempt): void {
    const task = this.#nameOf(given);
    this.#attempts.inc({ task, queue, state: isUpstream ? 'upstream_failed' : end });
    if (isUpstream) return;
    if (end === 'retried') this.#retries.inc({ task });
    if (end === 'failed') this.#failures.inc({ task, error: this.#errors.of(error ?? '') });
    if (end === 'completed' || end === 'failed' || end === 'retried')
      this.#durations.observe({ task, queue }, durationMs / 1000);
  }

  /** The task's, if this process knows it: whoever can write to the store could make up any number of names. */
  #nameOf(task: string): string {
    return this.#hasTask(task) ? task : 'unknown';
  }
}
