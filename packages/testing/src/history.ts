/** The history of a test app: calls and attempts in order, and its text form, the timeline. */

import type { EnqueuedJob } from '@umbel/core/internal';

/** A sent call, or a step of a sent workflow. */
export interface EnqueuedCall {
  readonly task: string;
  /** Input at the time of sending. A step gets the rest from earlier steps. */
  readonly input: unknown;
  readonly queue: string;
  readonly id: string;
  /** Id of the workflow run that it is a step of. */
  readonly runId: string | undefined;
  /** Delay before it may start. */
  readonly delayMs: number;
  readonly priority: number;
  /** Milliseconds since 1970, in the engine's time. */
  readonly at: number;
}

/** One attempt of a task. */
export interface Attempt {
  readonly task: string;
  /** Input as the handler received it; undefined if it was invalid. */
  readonly input: unknown;
  /** Whether the handler or its fake was called. False if the input was invalid. */
  readonly ran: boolean;
  readonly id: string;
  readonly runId: string | undefined;
  /** Number of the attempt, from 1. */
  readonly attempt: number;
  /** Milliseconds since 1970, in the engine's time. */
  readonly at: number;
  /** Undefined while the attempt runs. */
  readonly outcome: AttemptOutcome | undefined;
}

/** Outcome of an attempt. */
export type AttemptOutcome =
  | {
      readonly ok: true;
      readonly value: unknown;
      /** The handler replaced its job: the job's result is that of the replacement. */
      readonly replaced?: true;
      readonly at: number;
    }
  | { readonly ok: false; readonly error: Error; readonly at: number }
  /** The worker crashed or the lock was lost: the outcome was not recorded. */
  | { readonly ok: undefined; readonly at: number };

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export class History {
  readonly enqueued: EnqueuedCall[] = [];
  readonly attempts: Attempt[] = [];
  readonly #running = new Set<Mutable<Attempt>>();
  /** The running attempt of each job; the last one if there are several. Short, so it stays fast in a long test. */
  readonly #last = new Map<string, Mutable<Attempt>>();
  readonly #ids = new Set<string>();

  enqueue({ name, input, queue, id, run, options }: EnqueuedJob, at: number): void {
    // A repeated fan-out adds the same jobs, which changes nothing.
    if (this.#ids.has(id)) return;
    this.#ids.add(id);
    const { delayMs = 0, priority = 0 } = options;
    this.enqueued.push({ task: name, input, queue, id, runId: run, delayMs, priority, at });
  }

  /** Records the start of an attempt. Pass the returned entry to `end` or `skip`. */
  start(attempt: Omit<Attempt, 'outcome' | 'input' | 'ran'>): Attempt {
    const entry: Mutable<Attempt> = { ...attempt, input: undefined, ran: false, outcome: undefined };
    this.attempts.push(entry);
    this.#running.add(entry);
    this.#last.set(entry.id, entry);
    return entry;
  }

  /** Records that the handler of the job was called. */
  received(id: string, input: unknown): void {
    const entry = this.#last.get(id);
    if (entry === undefined || !this.#running.has(entry)) return;
    entry.input = input;
    entry.ran = true;
  }

  end(attempt: Attempt, outcome: AttemptOutcome): void {
    const entry: Mutable<Attempt> = attempt;
    if (this.#remove(entry)) entry.outcome = outcome;
  }

  /** Removes a running attempt. Returns false if it does not run. */
  #remove(entry: Mutable<Attempt>): boolean {
    if (this.#last.get(entry.id) === entry) this.#last.delete(entry.id);
    return this.#running.delete(entry);
  }

  /** Removes the attempt of a step that did not run because an earlier one failed. */
  skip(attempt: Attempt): void {
    this.#remove(attempt);
    this.attempts.splice(this.attempts.lastIndexOf(attempt), 1);
  }

  /** Records that the running attempts are lost with their worker. */
  loseRunning(at: number): void {
    for (const entry of this.#running) entry.outcome = { ok: undefined, at };
    this.#running.clear();
    this.#last.clear();
  }

  isRunning(attempt: Attempt): boolean {
    return this.#running.has(attempt);
  }

  /** Returns the names of the running tasks. */
  running(): string[] {
    return [...this.#running].map((attempt) => attempt.task);
  }

  /** Returns the last attempt of each failed job. */
  failed(): Attempt[] {
    const last = new Map(this.attempts.map((attempt) => [attempt.id, attempt]));
    return [...last.values()].filter((attempt) => attempt.outcome?.ok === false);
  }

  /**
   * Returns the attempts, one per line, with times since the first call. It is equal in every run of a test, so it works
   * as a snapshot.
   */
  timeline(): string {
    const start = this.enqueued[0]?.at ?? 0;
    return this.attempts
      .map(({ task, attempt, at, outcome }) => {
        const again = attempt > 1 ? ` (attempt ${attempt})` : '';
        return `${since(at - start).padEnd(10)} ${task}${again} ${describe(outcome)}`;
      })
      .join('\n');
  }
}

function describe(outcome: AttemptOutcome | undefined): string {
  if (outcome === undefined) return '… still runs';
  if (outcome.ok === undefined) return '† lost with its worker';
  if (!outcome.ok) return `✗ ${outcome.error.name}: ${outcome.error.message.split('\n')[0]}`;
  if (outcome.replaced) return '→ replaced';
  const text = JSON.stringify(outcome.value) ?? 'nothing';
  return `→ ${text.length > 80 ? `${text.slice(0, 80)}…` : text}`;
}

/** Formats a duration: `+1h 30m`, `+250ms`. */
function since(ms: number): string {
  if (ms < 1000) return `+${ms}ms`;
  const units: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1000, 's'],
  ];
  let rest = Math.floor(ms / 1000) * 1000;
  const parts = units.flatMap(([size, unit]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count > 0 ? [`${count}${unit}`] : [];
  });
  return `+${parts.join(' ')}`;
}
