import type { Clock } from '../base/time.js';
import type { InputChecks } from '../client/input-checks.js';
import type { Runtime } from '../client/runtime.js';
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

/** What a worker is given by its app. */
export interface WorkerParts {
  readonly store: StoreOptions;
  readonly jobs: Store;
  readonly clock: Clock;
  /** What is told of the app to who asks. */
  readonly facts: AppFacts;
  readonly executor: Executor;
  /** Who is told of the attempts of all workers of the app. */
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
  /** Takes away what is noted of tags whose jobs are gone. */
  readonly cleanTags: () => Promise<void>;
  readonly defaultName: string;
  /** If a supervisor has started this process. */
  readonly processIndex?: number;
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  /** It takes no more jobs. */
  readonly onClosing?: (reason: CloseReason) => void;
  readonly onClose: () => void;
  /** Closes the connections of the app, if it has no other worker. */
  readonly disconnectApp: () => Promise<void>;
}

/** What an app runs its jobs with. */
export interface ExecutorParts {
  /** The name of the app. */
  readonly app: string;
  readonly registry: Registry;
  readonly store: Store;
  readonly runtime: Runtime;
  readonly sealer: Sealer;
  readonly checks: InputChecks;
  readonly tags: TagIndex;
  /** Of every task. */
  readonly hooks: Hooks | undefined;
  readonly middleware: readonly AnyMiddleware[];
  readonly maxResultBytes: number;
  /** Most members that are made of one list. */
  readonly maxMembers: number;
  /** Notes the attempts of a worker. */
  readonly activity?: Activity;
  /** Where isolated tasks run; absent: in this process, as others. */
  readonly children?: ChildPool;
  /** Runs the job of a schedule. */
  readonly runSchedule: (job: ActiveJob, envelope: Envelope) => Promise<unknown>;
  /** How often a job may end its worker while it runs alone there; absent: as by default. */
  readonly maxLostStarts?: number;
  /** Of a worker. */
  readonly lockDurationMs?: number;
  readonly onError: (error: Error) => void;
}
