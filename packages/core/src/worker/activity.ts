/**
 * Records the attempts of one worker: the running ones and the number of ended ones. Also closes a worker that reaches
 * `maxJobs` or `maxMemory`. Internal jobs do not count as attempts.
 */

import { type Link, LinkedItems } from '../base/linked-list.js';
import type { Writable } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import type { Clock } from '../base/time.js';
import type { ActiveAttempt, AttemptCounts, AttemptEnd } from '../control/answers.js';
import type { ActiveJob, AttemptOutcome } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import type { HistoryRecorder } from './history-recorder.js';
import { inMegabytes } from './options.js';

export const NO_ATTEMPTS: AttemptCounts = {
  completed: 0,
  failed: 0,
  retried: 0,
  waiting: 0,
  returned: 0,
  lost: 0,
};

/** Called for every attempt at a job of a task, when it begins and ends. */
export interface ActivityListener {
  started?(attempt: ActiveAttempt, job: ActiveJob): void;
  ended?(attempt: ActiveAttempt, end: EndedAttempt): void;
  /** Called with a log line of a handler, with sensitive values masked. */
  logged?(job: ActiveJob, level: LogLevel, line: string): void;
  /** Called with the checked result of a handler, with sensitive values masked. */
  gave?(job: ActiveJob, result: unknown): void;
}

/** Level of a log line of a handler. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface EndedAttempt {
  readonly end: AttemptEnd;
  readonly durationMs: number;
  /** Name of the error, for a retried or failed attempt. */
  readonly error?: string;
  /** True if an earlier step failed, so the handler did not run. */
  readonly isUpstream?: true;
  /** Message of the error, with sensitive values masked. */
  readonly message?: string;
}

export class Activity {
  readonly counts: Record<AttemptEnd, number> = { ...NO_ATTEMPTS };
  readonly #clock: Clock;
  readonly #listeners: ReadonlySet<ActivityListener>;
  readonly #ownListeners = new Set<ActivityListener>();
  readonly #active = new LinkedItems<RunningAttempt>();
  readonly #history: HistoryRecorder | undefined;

  /**
   * @param listeners Listeners of the app; the set may change.
   * @param history Counts the attempts for `app.history`.
   */
  constructor(clock: Clock, listeners: ReadonlySet<ActivityListener>, history?: HistoryRecorder) {
    this.#clock = clock;
    this.#listeners = listeners;
    this.#history = history;
  }

  /** The running attempts, oldest first. */
  get active(): ActiveAttempt[] {
    return [...this.#active].map((attempt) => attempt.facts);
  }

  /** Whether attempts are reported to a listener. */
  get isHeard(): boolean {
    return this.#listeners.size + this.#ownListeners.size > 0;
  }

  activeIn(queue: string): number {
    let count = 0;
    for (const { job } of this.#active) if (job.queue === queue) count += 1;
    return count;
  }

  /** Adds a listener for this worker; returns a function that removes it. */
  listen(listener: ActivityListener): () => void {
    this.#ownListeners.add(listener);
    return () => this.#ownListeners.delete(listener);
  }

  /** Records the start of an attempt. Returns undefined for an internal job. */
  begin(job: ActiveJob): Link<RunningAttempt> | undefined {
    if (job.queue === INTERNAL_QUEUE) return undefined;
    const attempt = new RunningAttempt(job, this.#clock.now());
    if (this.#history !== undefined) {
      const waitedMs = waitOf(job, attempt.startedAt);
      if (waitedMs !== undefined) this.#history.waited(job.name, waitedMs);
    }
    if (this.isHeard) {
      for (const listener of this.#listeners) listener.started?.(attempt.facts, job);
      for (const listener of this.#ownListeners) listener.started?.(attempt.facts, job);
    }
    return this.#active.add(attempt);
  }

  logged(job: ActiveJob, level: LogLevel, line: string): void {
    for (const listener of this.#listeners) listener.logged?.(job, level, line);
    for (const listener of this.#ownListeners) listener.logged?.(job, level, line);
  }

  gave(job: ActiveJob, result: unknown): void {
    for (const listener of this.#listeners) listener.gave?.(job, result);
    for (const listener of this.#ownListeners) listener.gave?.(job, result);
  }

  /** Records the end of an attempt. Without an outcome, which an error in Umbel prevented, it counts as failed. */
  end(link: Link<RunningAttempt>, outcome: AttemptOutcome | undefined): void {
    this.#active.remove(link);
    const end: AttemptEnd =
      outcome === undefined ? 'failed' : outcome.kind === 'retry' ? 'retried' : outcome.kind;
    this.counts[end] += 1;
    const { startedAt, job } = link.item;
    const isUpstream = outcome?.kind === 'failed' && outcome.isUpstream === true;
    if (!isUpstream) this.#history?.ended(job.name, end, this.#clock.now() - startedAt);
    if (!this.isHeard) return;
    const { facts } = link.item;
    const ended = endedAttempt(end, outcome, this.#clock.now() - startedAt);
    for (const listener of this.#listeners) listener.ended?.(facts, ended);
    for (const listener of this.#ownListeners) listener.ended?.(facts, ended);
  }
}

/** A running attempt. Its facts are created at their first use: most attempts end before that. */
export class RunningAttempt {
  #facts: ActiveAttempt | undefined;

  constructor(
    readonly job: ActiveJob,
    readonly startedAt: number,
  ) {}

  get facts(): ActiveAttempt {
    this.#facts ??= activeAttempt(this.job, this.startedAt);
    return this.#facts;
  }
}

function activeAttempt(job: ActiveJob, startedAt: number): ActiveAttempt {
  const { id, name: task, queue, attempt, data } = job;
  const facts = isPlainObject(data) ? data : NO_DATA;
  const active: Writable<ActiveAttempt> = { id, task, queue, attempt, startedAt: new Date(startedAt) };
  if (typeof facts.run === 'string' && facts.alone !== true) active.runId = facts.run;
  const waitedMs = waitOf(job, startedAt);
  if (waitedMs !== undefined) active.waitedMs = waitedMs;
  return active;
}

/** Returns how long a job waited for its first attempt; undefined for others, and for steps that wait for earlier ones. */
function waitOf(job: ActiveJob, startedAt: number): number | undefined {
  const { attempt, starts, data, enqueuedAt, delayMs } = job;
  if (attempt !== 1 || starts !== 1 || !isPlainObject(data) || data.after !== undefined) return undefined;
  return Math.max(0, startedAt - enqueuedAt - delayMs);
}

const NO_DATA: Readonly<Record<string, unknown>> = {};

function endedAttempt(
  end: AttemptEnd,
  outcome: AttemptOutcome | undefined,
  durationMs: number,
): EndedAttempt {
  const error = outcome?.kind === 'retry' || outcome?.kind === 'failed' ? outcome.error : undefined;
  const isUpstream = outcome?.kind === 'failed' && outcome.isUpstream;
  return {
    end,
    durationMs,
    ...(error && { error: error.name, message: error.message }),
    ...(isUpstream && { isUpstream }),
  };
}

/** Interval of memory checks, also while no attempt ends. */
const CHECK_MS = 5000;

export interface LimitOptions {
  readonly maxJobs: number | undefined;
  readonly maxMemoryBytes: number | undefined;
  /** Called once, with the limit that was reached. */
  readonly onReached: (reason: 'max-jobs' | 'max-memory', words: string) => void;
  readonly residentBytes?: () => number;
}

/** Checks the limits after each attempt and every 5 s; returns a function that stops it. */
export function watchLimits(activity: Activity, options: LimitOptions): () => void {
  const { maxJobs, maxMemoryBytes, residentBytes = process.memoryUsage.rss } = options;
  if (maxJobs === undefined && maxMemoryBytes === undefined) return () => {};
  let jobs = 0;
  const stop = () => {
    clearInterval(timer);
    removeListener();
  };
  const reached = (reason: 'max-jobs' | 'max-memory', words: string) => {
    stop();
    options.onReached(reason, words);
  };
  const check = () => {
    if (maxJobs !== undefined && jobs >= maxJobs) return reached('max-jobs', `it has run ${jobs} attempts`);
    if (maxMemoryBytes === undefined) return;
    const bytes = residentBytes();
    if (bytes > maxMemoryBytes) {
      reached(
        'max-memory',
        `its process uses ${inMegabytes(bytes)}, more than ${inMegabytes(maxMemoryBytes)}`,
      );
    }
  };
  const removeListener = activity.listen({
    ended() {
      jobs += 1;
      check();
    },
  });
  const timer = setInterval(check, CHECK_MS);
  timer.unref();
  return stop;
}
