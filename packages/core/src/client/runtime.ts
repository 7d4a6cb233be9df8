/** This module defines the clock, randomness and observer of an app, which tests replace. */
import { setTimeout } from '../base/real-timers.js';
import { type Clock, systemClock } from '../base/time.js';
import type { ActiveJob } from '../job/job.js';
import { type JobNode, jobIdOf, jobsOf } from '../job/job-tree.js';
import type { NormalizedOptions } from '../job/shared-options.js';
import type { TaskEntry } from '../task/definition.js';

/** A stored job, as an observer sees it. */
export interface EnqueuedJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  /** Id of the run that it is a step of. */
  readonly run?: string;
  /** Known part of the input: a step gets the rest from earlier steps. */
  readonly input?: unknown;
  readonly options: NormalizedOptions;
}

/** Receives notifications about the actions of an app; the test engine implements it. */
export interface Observer {
  enqueued(job: EnqueuedJob): void;
  /** Returns the handler to run for a task. Default: the task's handler. */
  handlerOf(task: TaskEntry): TaskEntry['run'];
  /** Runs an attempt of a job; `run` settles as the attempt does. */
  attempt(job: ActiveJob, run: () => Promise<unknown>): Promise<unknown>;
  /** Called when a wait for a result begins. The returned function is called at its end; `giveUp` ends it with an error. */
  waiting(jobId: string, giveUp: (error: Error) => void): () => void;
}

/** Environment of an app; tests replace it as a whole. */
export interface Runtime {
  readonly clock: Clock;
  /** Returns a number from 0 to 1, for the jitter of retries. */
  readonly random: () => number;
  /** Resolves after `ms` of real time. */
  readonly pause: (ms: number) => Promise<void>;
  /**
   * How long before an occurrence the job of its schedule starts, in milliseconds; the job then waits in the worker. A delayed
   * job starts some milliseconds late, which would make the occurrence late.
   */
  readonly scheduleLeadMs: number;
  readonly observer: Observer | undefined;
}

export const systemRuntime: Runtime = {
  clock: systemClock,
  random: Math.random,
  pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  scheduleLeadMs: 10,
  observer: undefined,
};

/** Notifies the observer of every job in a stored tree, earlier steps first. */
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
