import { setTimeout } from '../base/real-timers.js';
import { type Clock, systemClock } from '../base/time.js';
import type { ActiveJob } from '../job/job.js';
import { type JobNode, jobIdOf, jobsOf } from '../job/job-tree.js';
import type { NormalizedOptions } from '../job/shared-options.js';
import type { TaskEntry } from '../task/definition.js';

/** A job that was stored. */
export interface EnqueuedJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  /** The run it is a step of. */
  readonly run?: string;
  /** As far as it is known: a step gets the rest from earlier ones. */
  readonly input?: unknown;
  readonly options: NormalizedOptions;
}

/** Is told what an app does, as it does it. */
export interface Observer {
  enqueued(job: EnqueuedJob): void;
  /** The handler to run for a task; by default its own. */
  handlerOf(task: TaskEntry): TaskEntry['run'];
  /** Runs an attempt of a job; `run` settles as the attempt does. */
  attempt(job: ActiveJob, run: () => Promise<unknown>): Promise<unknown>;
  /** Someone waits for a result, until the answer is called. `giveUp` ends the wait with an error. */
  waiting(jobId: string, giveUp: (error: Error) => void): () => void;
}

/** What an app runs on: replaced as a whole in tests. */
export interface Runtime {
  readonly clock: Clock;
  /** From 0 to 1, for the jitter of retries. */
  readonly random: () => number;
  /** Resolves after `ms` of the machine's time, before a command that the store did not take is tried again. */
  readonly pause: (ms: number) => Promise<void>;
  readonly observer: Observer | undefined;
}

export const systemRuntime: Runtime = {
  clock: systemClock,
  random: Math.random,
  pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  observer: undefined,
};

/** Tells the observer of every job in a stored tree, earlier steps first. */
export function observeTree(observer: Observer, run: string, root: JobNode): void {
  for (const { path, name, queue, input, options = {} } of jobsOf(root)) {
    observer.enqueued({
      id: jobIdOf(run, path),
      name,
      queue,
      run,
      options,
      ...(input !== undefined && { input }),
    });
  }
}
