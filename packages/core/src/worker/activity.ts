import { type Link, LinkedItems } from '../base/linked-list.js';
import { isPlainObject } from '../base/text.js';
import type { Clock } from '../base/time.js';
import type { ActiveAttempt, AttemptCounts, AttemptEnd } from '../control/answers.js';
import type { ActiveJob, AttemptOutcome } from '../job/job.js';
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { inMegabytes } from './options.js';

/** What a worker has under way, and what it has done since it was started. */

export const NO_ATTEMPTS: AttemptCounts = {
  completed: 0,
  failed: 0,
  retried: 0,
  waiting: 0,
  returned: 0,
  lost: 0,
};

/** Is told of every attempt at a job of a task, as it begins and ends. */
export interface ActivityListener {
  started?(attempt: ActiveAttempt, job: ActiveJob): void;
  ended?(attempt: ActiveAttempt, end: EndedAttempt): void;
  /** A line that a handler has logged, with what is sensitive masked. */
  logged?(job: ActiveJob, level: LogLevel, line: string): void;
  /** What a handler has given, checked, with what is sensitive masked. */
  gave?(job: ActiveJob, result: unknown): void;
}

/** Of a line that a handler logs. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface EndedAttempt {
  readonly end: AttemptEnd;
  readonly durationMs: number;
  /** The name of its error, of one that was retried or has failed. */
  readonly error?: string;
  /** It has failed because a job did that it waited for; its handler did not run. */
  readonly isUpstream?: true;
  /** Its message, with what is sensitive masked. */
  readonly message?: string;
}

/** Notes the attempts of one worker. Jobs that Umbel adds between tasks are none. */
export class Activity {
  readonly counts: Record<AttemptEnd, number> = { ...NO_ATTEMPTS };
  readonly #clock: Clock;
  readonly #listeners: ReadonlySet<ActivityListener>;
  readonly #own = new Set<ActivityListener>();
  readonly #active = new LinkedItems<ActiveAttempt>();

  /** @param listeners Those of the app, which may come and go. */
  constructor(clock: Clock, listeners: ReadonlySet<ActivityListener>) {
    this.#clock = clock;
    this.#listeners = listeners;
  }

  /** Those that run, the one that began first in front. */
  get active(): ActiveAttempt[] {
    return [...this.#active];
  }

  activeIn(queue: string): number {
    let count = 0;
    for (const attempt of this.#active) if (attempt.queue === queue) count += 1;
    return count;
  }

  /** Tells one more listener; gives a function that stops it. */
  listen(listener: ActivityListener): () => void {
    this.#own.add(listener);
    return () => this.#own.delete(listener);
  }

  /** Notes that an attempt begins; undefined for a job that is none. */
  begin(job: ActiveJob): Link<ActiveAttempt> | undefined {
    if (job.queue === INTERNAL_QUEUE) return undefined;
    const attempt = activeAttempt(job, this.#clock.now());
    for (const listener of this.#listeners) listener.started?.(attempt, job);
    for (const listener of this.#own) listener.started?.(attempt, job);
    return this.#active.add(attempt);
  }

  logged(job: ActiveJob, level: LogLevel, line: string): void {
    for (const listener of this.#listeners) listener.logged?.(job, level, line);
    for (const listener of this.#own) listener.logged?.(job, level, line);
  }

  /** @param result Asked for only if somebody listens. */
  gave(job: ActiveJob, result: () => unknown): void {
    if (this.#listeners.size + this.#own.size === 0) return;
    for (const listener of [...this.#listeners, ...this.#own])
      if (listener.gave !== undefined) listener.gave(job, result());
  }

  /** Notes how one that has begun ended; without an outcome where that could not be told. */
  end(begun: Link<ActiveAttempt>, outcome: AttemptOutcome | undefined): void {
    const { item: attempt } = begun;
    this.#active.remove(begun);
    const end: AttemptEnd =
      outcome === undefined ? 'failed' : outcome.kind === 'retry' ? 'retried' : outcome.kind;
    this.counts[end] += 1;
    if (this.#listeners.size + this.#own.size === 0) return;
    const ended = endedAttempt(end, outcome, this.#clock.now() - attempt.startedAt.getTime());
    for (const listener of this.#listeners) listener.ended?.(attempt, ended);
    for (const listener of this.#own) listener.ended?.(attempt, ended);
  }
}

function activeAttempt(job: ActiveJob, startedAt: number): ActiveAttempt {
  const { id, name: task, queue, attempt, data } = job;
  const facts = isPlainObject(data) ? data : NO_DATA;
  const begun: Writable<ActiveAttempt> = { id, task, queue, attempt, startedAt: new Date(startedAt) };
  if (typeof facts.run === 'string' && facts.alone !== true) begun.runId = facts.run;
  const waitsForNone = facts !== NO_DATA && facts.after === undefined;
  if (attempt === 1 && job.starts === 1 && waitsForNone)
    begun.waitedMs = Math.max(0, startedAt - job.enqueuedAt - job.delayMs);
  return begun;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

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

// Ends a worker that has done enough, or takes too much memory.

/** Memory is looked at also while nothing ends. */
const LOOK_MS = 5000;

export interface LimitOptions {
  readonly maxJobs: number | undefined;
  readonly maxMemoryBytes: number | undefined;
  /** Called once, with what was reached. */
  readonly onReached: (reason: 'max-jobs' | 'max-memory', words: string) => void;
  readonly residentBytes?: () => number;
}

/** Watches from now on; gives a function that stops it. */
export function watchLimits(activity: Activity, options: LimitOptions): () => void {
  const { maxJobs, maxMemoryBytes, residentBytes = process.memoryUsage.rss } = options;
  if (maxJobs === undefined && maxMemoryBytes === undefined) return () => {};
  let jobs = 0;
  const stop = () => {
    clearInterval(timer);
    forget();
  };
  const reached = (reason: 'max-jobs' | 'max-memory', words: string) => {
    stop();
    options.onReached(reason, words);
  };
  const look = () => {
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
  const forget = activity.listen({
    ended() {
      jobs += 1;
      look();
    },
  });
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return stop;
}
