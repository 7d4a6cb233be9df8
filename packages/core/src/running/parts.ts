import type { Store } from '../bullmq/store.js';
import type { TagIndex } from '../bullmq/tag-index.js';
import type { Runtime } from '../runtime.js';
import type { InputChecks } from '../sending/checks.js';
import type { Hooks } from '../tasks/hooks.js';
import type { AnyMiddleware } from '../tasks/middleware.js';
import type { Registry } from '../tasks/registry.js';
import type { Envelope } from '../wire/envelope.js';
import type { Sealer } from '../wire/sealing.js';
import type { ChildPool } from './isolated/child-pool.js';
import type { ActiveJob } from './job.js';
import type { Activity } from './worker/activity.js';

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
