/** One attempt at one job: what its handler is given, and how long it may take. */
import type { Clock } from '../clock.js';
import { durationMs } from '../duration.js';
import { ExpectedFailureError, RejectedError, TimeLimitError } from '../errors.js';
import type { TaskEntry } from '../tasks/registry.js';
import { RetryRequest } from '../tasks/retry.js';
import type { Envelope } from '../wire/envelope.js';
import type { TaskContext, TaskLog } from './context.js';
import type { ActiveJob } from './job.js';
import { type AttemptReports, type ReportParts, Reports } from './reports.js';

export class Attempt {
  readonly job: ActiveJob;
  readonly task: TaskEntry;
  readonly context: TaskContext;
  readonly reports: Reports;
  readonly #clock: Clock;

  constructor(job: ActiveJob, envelope: Envelope, task: TaskEntry, parts: ReportParts) {
    this.job = job;
    this.task = task;
    this.#clock = parts.clock;
    this.reports = new Reports(job, task, parts);
    this.context = contextOf(job, envelope, this.reports, parts.clock);
  }

  /** What `run` gives, unless the attempt is given up first: by its time limit, or because the job was revoked. */
  run<T>(limitMs: number | undefined, run: () => Promise<T>): Promise<T> {
    const { job, task } = this;
    return new Promise((resolve, reject) => {
      job.onGiveUp(reject);
      const settled = run();
      settled.then(resolve, reject);
      if (limitMs === undefined) return;
      const timer = this.#clock.setDeadline(() => {
        job.giveUp(
          new TimeLimitError(
            `Task "${task.name}" did not end within its timeout of ${limitMs} ms (attempt ${job.attempt}).`,
          ),
        );
      }, limitMs);
      const clear = () => this.#clock.clearTimeout(timer);
      settled.then(clear, clear);
    });
  }
}

/** What a context is made from. */
type JobFacts = Pick<ActiveJob, 'id' | 'name' | 'queue' | 'attempt' | 'enqueuedAt' | 'signal'>;
type EnvelopeFacts = Pick<Envelope, 'run' | 'alone' | 'headers' | 'parent' | 'root' | 'key'>;

export function contextOf(
  job: JobFacts,
  envelope: EnvelopeFacts,
  reports: AttemptReports,
  clock: Clock,
): TaskContext {
  const { headers = {}, parent, root, key } = envelope;
  const run = envelope.alone ? undefined : envelope.run;
  let log: TaskLog | undefined;
  return {
    id: job.id,
    name: job.name,
    queue: job.queue,
    attempt: job.attempt,
    ...(run !== undefined && { runId: run }),
    rootId: root ?? run ?? job.id,
    ...(parent !== undefined && { parentId: parent }),
    get enqueuedAt() {
      return new Date(job.enqueuedAt);
    },
    idempotencyKey: key ?? job.id,
    headers,
    get signal() {
      return job.signal;
    },
    get log() {
      log ??= reports.log();
      return log;
    },
    now: () => clock.now(),
    sleep: (duration) => sleep(clock, durationMs(duration, 'duration'), job.signal),
    progress: (value) => reports.progress(value),
    setState: (state) => reports.state(state),
    fail: (failure: string, ...data: readonly unknown[]) => {
      throw new ExpectedFailureError(failure, data[0]);
    },
    retry: ({ in: wait, reason, cause } = {}) => {
      throw new RetryRequest(
        reason,
        wait === undefined ? undefined : durationMs(wait, 'in'),
        cause === undefined ? undefined : { cause },
      );
    },
    reject: (reason) => {
      throw new RejectedError(`The handler of task "${job.name}" rejected its job: ${reason}`);
    },
  };
}

/** Resolves after `ms`; rejects with the signal's reason once it is aborted. */
function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = () => {
      clock.clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = clock.setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal.addEventListener('abort', abort, { once: true });
  });
}
