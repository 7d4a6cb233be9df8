/** The dependencies of workers and of the executor of jobs, which `app/` provides. */

import type { Clock } from '../base/time.js';
import type { InputChecks } from '../client/input-checks.js';
import type { Runtime } from '../client/runtime.js';
import type { SignalClient } from '../client/signals.js';
import type { Sealer } from '../codec/codecs.js';
import type { Envelope } from '../job/envelope.js';
import type { ActiveJob } from '../job/job.js';
import type { Store, StoreOptions } from '../store/store.js';
import type { TagIndex } from '../store/tags.js';
import type { Registry } from '../task/definition.js';
import type { AnyMiddleware, Hooks } from '../task/middleware.js';
import type { Activity, ActivityListener } from './activity.js';
import type { CloseReason } from './app-worker.js';
import type { AppFacts } from './control-endpoint.js';
import type { Executor } from './executor.js';
import type { ChildPool } from './isolate/pool.js';

export interface WorkerDependencies {
  readonly store: StoreOptions;
  readonly jobs: Store;
  readonly clock: Clock;
  /** Facts about the app that the worker sends to `app.inspect`. */
  readonly facts: AppFacts;
  readonly executor: Executor;
  /** Receive the attempts of all workers of the app. */
  readonly listeners: ReadonlySet<ActivityListener>;
  readonly defaultQueues: () => string[];
  /** @throws {UnknownQueueError} */
  readonly checkQueue: (queue: string) => void;
  /** Names of the tasks of these queues whose handlers run in child processes. */
  readonly isolatedTasks: (queues: readonly string[]) => readonly string[];
  /** Applies the settings of a queue as a whole. */
  readonly prepareQueue: (queue: string) => Promise<void>;
  /** Stores the schedules that this program declares. */
  readonly syncSchedules: () => Promise<void>;
  /** Removes the tag entries of jobs that no longer exist. */
  readonly cleanTags: () => Promise<void>;
  /** Ends the records of waits without a job, and starts jobs whose signals are there. Returns the number of started jobs. */
  readonly checkWaits: () => Promise<number>;
  readonly defaultName: string;
  /** Set in a process that a supervisor started. */
  readonly processIndex?: number;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  /** Called when the worker takes no more jobs. */
  readonly onClosing?: (reason: CloseReason) => void;
  readonly onClose: () => void;
  /** Closes the connections of the app unless it has another worker. */
  readonly disconnectApp: () => Promise<void>;
}

export interface ExecutorDependencies {
  /** Name of the app. */
  readonly app: string;
  readonly registry: Registry;
  readonly store: Store;
  readonly runtime: Runtime;
  readonly sealer: Sealer;
  readonly checks: InputChecks;
  readonly tags: TagIndex;
  /** Hooks for every task. */
  readonly hooks: Hooks | undefined;
  readonly middleware: readonly AnyMiddleware[];
  readonly maxResultBytes: number;
  /** Maximum number of members that a fan-out makes of one list. */
  readonly maxMembers: number;
  /** Records the attempts of a worker. */
  readonly activity?: Activity;
  /** Child processes for isolated tasks. Absent: they run in this process like others. */
  readonly children?: ChildPool;
  /** Decodes the payloads of signals. */
  readonly signals: SignalClient;
  /** Runs the job of a schedule. */
  readonly runSchedule: (job: ActiveJob, envelope: Envelope) => Promise<unknown>;
  /** How many times a job may end its worker while it runs exclusively. Absent: the default. */
  readonly maxLostStarts?: number;
  /** Lock duration of the worker. */
  readonly lockDurationMs?: number;
  readonly onError: (error: Error) => void;
}
