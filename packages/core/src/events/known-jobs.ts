/** What a reader of events remembers of jobs, so that not every event needs a look into the store. */
import type { StoredJob } from '../bullmq/stored-job.js';

/** Jobs that have not ended, of which something is remembered. */
const MAX_JOBS = 10_000;

/** What earlier events and the store have told of a job. */
export interface KnownJob {
  task: string | undefined;
  runId: string | undefined;
  /** The attempt that runs, or runs next. */
  attempt: number | undefined;
  /** Whether a worker has it; undefined if no event was seen that says so. */
  isActive: boolean | undefined;
  /** Nothing of the store is needed to know its task and its run. */
  isPlaced: boolean;
}

/** The jobs that were told of last. */
export class KnownJobs {
  readonly #jobs = new Map<string, KnownJob>();

  find(queue: string, id: string): KnownJob | undefined {
    return this.#jobs.get(keyOf(queue, id));
  }

  /** What is known of a job, to be changed; made if nothing is. */
  of(queue: string, id: string): KnownJob {
    const key = keyOf(queue, id);
    const known = this.#jobs.get(key) ?? {
      task: undefined,
      runId: undefined,
      attempt: undefined,
      isActive: undefined,
      isPlaced: false,
    };
    this.#jobs.delete(key); // to the end
    this.#jobs.set(key, known);
    if (this.#jobs.size > MAX_JOBS)
      for (const oldest of this.#jobs.keys()) return this.#without(oldest, known);
    return known;
  }

  forget(queue: string, id: string): void {
    this.#jobs.delete(keyOf(queue, id));
  }

  #without(oldest: string, known: KnownJob): KnownJob {
    this.#jobs.delete(oldest);
    return known;
  }
}

/** Takes over what the store tells. `returns`: how often the job goes back to its queue in what is told next. */
export function learn(known: KnownJob, stored: StoredJob | undefined, returns: number): void {
  known.isPlaced = true;
  if (stored === undefined) return;
  const { alone, run } = stored.envelope ?? {};
  known.task ??= stored.name;
  known.runId = alone ? undefined : run;
  known.isActive ??= stored.startedAt !== undefined;
  known.attempt ??= Math.max(1, failedAttempts(stored) + 1 - returns);
}

/** Attempts that have failed and were followed by another one, or are to be. */
export function failedAttempts({ attempts, finishedAt }: StoredJob): number {
  return finishedAt === undefined ? attempts : attempts - 1;
}

/** Whether the id may be that of a step: such are made of the run's and a path. */
export function mayBeStep(id: string): boolean {
  return id.includes('.');
}

function keyOf(queue: string, id: string): string {
  return `${queue}:${id}`;
}
