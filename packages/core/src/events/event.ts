/** What happens to jobs, runs and workers of an app, as its stream of events tells it. */

/** What every event has. */
interface Told {
  /** Reading goes on after this event from here, also in another process: `app.events({ from: position })`. */
  readonly position: string;
  /** When it happened, by the store's clock. */
  readonly at: Date;
}

/** What every event of a job has. */
interface OfJob extends Told {
  readonly id: string;
  /** The task's name; `undefined` if the store does not hold the job any more. */
  readonly task: string | undefined;
  readonly queue: string;
  /** The composition it is a step of. */
  readonly runId?: string;
  /** The attempt that began or ended, or was under way, from 1; as far as the store tells. */
  readonly attempt?: number;
}

/** The job was stored, or is queued again: after a failure for good, by `resume` or `replay`. */
export interface EnqueuedEvent extends OfJob {
  readonly type: 'enqueued';
}

/** A worker has taken the job. */
export interface StartedEvent extends OfJob {
  readonly type: 'started';
}

/** The handler has reported its progress, or shows a state of the task's own. */
export interface ProgressEvent extends OfJob {
  readonly type: 'progress';
  /** The latest value; `undefined` if there is none, or it was encoded by a codec that this app does not have. */
  readonly value: unknown;
  /** The task's own state. */
  readonly state?: string;
}

/** The attempt has failed, or could not begin, and the job is to be tried again. */
export interface RetriedEvent extends OfJob {
  readonly type: 'retried';
  /** After so long. */
  readonly delayMs: number;
  /** Why the attempt failed, as the store shows it; absent if it could not begin, or the store does not tell. */
  readonly reason?: string;
}

/** The worker that had the job was lost; the job waits for another one. */
export interface StalledEvent extends OfJob {
  readonly type: 'stalled';
}

export interface CompletedEvent extends OfJob {
  readonly type: 'completed';
}

/** The job has failed for good. */
export interface FailedEvent extends OfJob {
  readonly type: 'failed';
  /** As the store shows it: with codecs, the name of the error only. `app.deadLetters` has all of it. */
  readonly reason: string;
}

/** The job has ended without a result: `revoked`; `expired`, not started in time; `skipped`, not needed any more. */
export interface EndedEvent extends OfJob {
  readonly type: 'revoked' | 'expired' | 'skipped';
}

/** A composition, or a call with callbacks, was stored, or is resumed. */
export interface RunStartedEvent extends Told {
  readonly type: 'run-started';
  readonly runId: string;
}

/** A composition has its result or its failure. */
export interface RunFinishedEvent extends Told {
  readonly type: 'run-finished';
  readonly runId: string;
  readonly state: 'completed' | 'failed' | 'revoked' | 'expired' | 'skipped';
}

/** A process that runs tasks. */
export interface WorkerFacts {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly pid: number;
}

/** A worker has begun to take jobs, or takes no more. */
export interface WorkerEvent extends Told {
  readonly type: 'worker-online' | 'worker-offline';
  readonly worker: WorkerFacts;
}

/** The store has dropped events of this queue before they were read: those up to the next one are not told. */
export interface GapEvent extends Told {
  readonly type: 'gap';
  readonly queue: string;
}

/** One event of an app; told apart by its `type`. */
export type AppEvent =
  | EnqueuedEvent
  | StartedEvent
  | ProgressEvent
  | RetriedEvent
  | StalledEvent
  | CompletedEvent
  | FailedEvent
  | EndedEvent
  | RunStartedEvent
  | RunFinishedEvent
  | WorkerEvent
  | GapEvent;

export type EventType = AppEvent['type'];

/** The events of some types: of those that have one of them, with the type narrowed to it. */
export type EventOf<Type extends EventType> = AppEvent extends infer Event
  ? Event extends { readonly type: infer Own }
    ? [Own] extends [Type]
      ? Event
      : [Own & Type] extends [never]
        ? never
        : Event & { readonly type: Own & Type }
    : never
  : never;

/** Which events are told, and from where. */
export interface EventQuery<Type extends EventType = EventType> {
  /**
   * Where to begin: `'now'` (the default) with what comes after the call; `'start'` as far back as the store keeps
   * events, about the last 10,000 of each queue and for `resultTtl` at most; a moment; or after the `position` of an earlier event.
   */
  from?: 'now' | 'start' | Date | string | undefined;
  /** Only events of these types. Default: all. Without `'gap'`, dropped events are told in the app's log only. */
  types?: readonly Type[] | undefined;
  /** Only of jobs of these tasks; then nothing of runs and workers. */
  tasks?: readonly string[] | undefined;
  /** Only of jobs in these queues; then nothing of runs and workers. Default: all that the app knows. */
  queues?: readonly string[] | undefined;
  /** Only of the job of this id, or of the run of this id and its steps. */
  id?: string | undefined;
  /** Ends the events, without an error. */
  signal?: AbortSignal | undefined;
}
