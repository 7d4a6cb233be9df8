/** What a worker has under way, and what it has done since it was started. */
import type { Clock } from '../../clock.js';
import { INTERNAL_QUEUE } from '../../flow/node.js';
import { isPlainObject } from '../../wire/plain-object.js';
import type { ActiveJob, AttemptOutcome } from '../job.js';

/** An attempt that runs. */
export interface ActiveAttempt {
  /** Of its job. */
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  /** The composition that it is a step of. */
  readonly runId?: string;
  /** Counted from 1. */
  readonly attempt: number;
  readonly startedAt: Date;
  /**
   * How long the job had waited for a worker, in milliseconds, since it was sent and its delay was over. Only of first
   * attempts at jobs that waited for no others: when a step or a retry was ready is not stored.
   */
  readonly waitedMs?: number;
}

/** How an attempt has ended: `returned` ones go back to their queue uncharged, of `lost` ones another worker's counts. */
export type AttemptEnd = Exclude<AttemptOutcome['kind'], 'retry'> | 'retried';

/** Attempts since the worker was started, by how they ended. */
export type AttemptCounts = Readonly<Record<AttemptEnd, number>>;

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
}

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
  readonly #active = new Set<ActiveAttempt>();

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

  /** The outcome of `run`, noted. */
  async during(job: ActiveJob, run: () => Promise<AttemptOutcome>): Promise<AttemptOutcome> {
    if (job.queue === INTERNAL_QUEUE) return run();
    const startedAt = this.#clock.now();
    const attempt = activeAttempt(job, startedAt);
    this.#active.add(attempt);
    for (const listener of this.#all()) listener.started?.(attempt, job);
    let outcome: AttemptOutcome | undefined;
    try {
      outcome = await run();
      return outcome;
    } finally {
      this.#active.delete(attempt);
      this.#ended(attempt, outcome, this.#clock.now() - startedAt);
    }
  }

  #ended(attempt: ActiveAttempt, outcome: AttemptOutcome | undefined, durationMs: number): void {
    const end: AttemptEnd =
      outcome === undefined ? 'failed' : outcome.kind === 'retry' ? 'retried' : outcome.kind;
    this.counts[end] += 1;
    const error = outcome?.kind === 'retry' || outcome?.kind === 'failed' ? outcome.error : undefined;
    const isUpstream = outcome?.kind === 'failed' && outcome.isUpstream;
    const ended: EndedAttempt = {
      end,
      durationMs,
      ...(error && { error: error.name, message: error.message }),
      ...(isUpstream && { isUpstream }),
    };
    for (const listener of this.#all()) listener.ended?.(attempt, ended);
  }

  *#all(): Iterable<ActivityListener> {
    yield* this.#listeners;
    yield* this.#own;
  }
}

function activeAttempt(job: ActiveJob, startedAt: number): ActiveAttempt {
  const { id, name, queue, attempt, data, starts, enqueuedAt, delayMs } = job;
  const waitsForNone = isPlainObject(data) && data.after === undefined;
  const runId = isPlainObject(data) && data.alone !== true ? data.run : undefined;
  return {
    id,
    task: name,
    queue,
    ...(typeof runId === 'string' && { runId }),
    attempt,
    startedAt: new Date(startedAt),
    ...(attempt === 1 &&
      starts === 1 &&
      waitsForNone && { waitedMs: Math.max(0, startedAt - enqueuedAt - delayMs) }),
  };
}
