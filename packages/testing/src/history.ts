import type { EnqueuedJob } from '@umbel/core/internal';

/** A call that was sent, or a step of one. */
export interface EnqueuedCall {
  readonly task: string;
  /** What was given when it was sent; a step gets the rest from earlier ones. */
  readonly input: unknown;
  readonly queue: string;
  readonly id: string;
  /** The run it is a step of. */
  readonly runId: string | undefined;
  /** Wait before it may start. */
  readonly delayMs: number;
  readonly priority: number;
  /** Milliseconds since 1970, in the engine's time. */
  readonly at: number;
}

/** One attempt of a task. */
export interface Attempt {
  readonly task: string;
  /** As the handler received it; undefined where it was not valid. */
  readonly input: unknown;
  /** Whether the handler, or its fake, was called: not where the input was not valid. */
  readonly ran: boolean;
  readonly id: string;
  readonly runId: string | undefined;
  /** Counted from 1. */
  readonly attempt: number;
  /** Milliseconds since 1970, in the engine's time. */
  readonly at: number;
  /** Absent while it runs. */
  readonly outcome: AttemptOutcome | undefined;
}

export type AttemptOutcome =
  | {
      readonly ok: true;
      readonly value: unknown;
      /** The handler has put something in its place: the job's result is that one's. */
      readonly replaced?: true;
      readonly at: number;
    }
  | { readonly ok: false; readonly error: Error; readonly at: number }
  /** Its worker died, or its lock was lost: whatever came of it was not recorded. */
  | { readonly ok: undefined; readonly at: number };

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** All that happened to a test's app, in order. */
export class History {
  readonly enqueued: EnqueuedCall[] = [];
  readonly attempts: Attempt[] = [];
  readonly #running = new Set<Mutable<Attempt>>();
  /** The last attempt of each job. */
  readonly #last = new Map<string, Mutable<Attempt>>();
  readonly #ids = new Set<string>();

  enqueue({ name, input, queue, id, run, options }: EnqueuedJob, at: number): void {
    // A fan-out that runs again adds the same jobs, which changes nothing.
    if (this.#ids.has(id)) return;
    this.#ids.add(id);
    const { delayMs = 0, priority = 0 } = options;
    this.enqueued.push({ task: name, input, queue, id, runId: run, delayMs, priority, at });
  }

  /** Notes an attempt that begins; the answer is for `end` and `skip`. */
  start(attempt: Omit<Attempt, 'outcome' | 'input' | 'ran'>): Attempt {
    const entry: Mutable<Attempt> = { ...attempt, input: undefined, ran: false, outcome: undefined };
    this.attempts.push(entry);
    this.#running.add(entry);
    this.#last.set(entry.id, entry);
    return entry;
  }

  /** The handler of the job was called. */
  received(id: string, input: unknown): void {
    const entry = this.#last.get(id);
    if (entry === undefined || !this.#running.has(entry)) return;
    entry.input = input;
    entry.ran = true;
  }

  end(attempt: Attempt, outcome: AttemptOutcome): void {
    const entry: Mutable<Attempt> = attempt;
    if (this.#running.delete(entry)) entry.outcome = outcome;
  }

  /** Forgets the attempt of a step that did not run, since an earlier one had failed. */
  skip(attempt: Attempt): void {
    this.#running.delete(attempt);
    this.attempts.splice(this.attempts.lastIndexOf(attempt), 1);
  }

  /** The attempts that run now are lost with their worker. */
  loseRunning(at: number): void {
    for (const entry of this.#running) entry.outcome = { ok: undefined, at };
    this.#running.clear();
  }

  isRunning(attempt: Attempt): boolean {
    return this.#running.has(attempt);
  }

  /** Names of the tasks that run now. */
  running(): string[] {
    return [...this.#running].map((attempt) => attempt.task);
  }

  /** The last attempt of each job that failed. */
  failed(): Attempt[] {
    const last = new Map(this.attempts.map((attempt) => [attempt.id, attempt]));
    return [...last.values()].filter((attempt) => attempt.outcome?.ok === false);
  }

  /**
   * What ran, one line an attempt, with times from the first sending: the same in every run of a test, so that it can
   * be kept as a snapshot.
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

/** `+1h 30m`, `+250ms`. */
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
