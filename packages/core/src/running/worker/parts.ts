import type { Store, StoreOptions } from '../../bullmq/store.js';
import type { Clock } from '../../clock.js';
import type { AppFacts } from '../../control/worker-control.js';
import type { Executor } from '../execute.js';
import type { ActivityListener } from './activity.js';
import type { CloseReason } from './app-worker.js';

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
