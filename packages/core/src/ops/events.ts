/** This module defines the events of jobs, runs and workers that `app.events` yields, and its query. */

/** Fields of every event. */
interface EventBase {
  /** To continue after this event, also in another process: `app.events({ from: position })`. */
  readonly position: string;
  /** When it happened, by the clock of the store. */
  readonly at: Date;
}

/** Fields of every event of a job. */
interface JobEvent extends EventBase {
  readonly id: string;
  /** The name of the task; `undefined` if the store no longer holds the job. */
  readonly task: string | undefined;
  readonly queue: string;
  /** The workflow run that the job is a step of. */
  readonly runId?: string;
  /** The number of the attempt, from 1. Absent if the store does not show it. */
  readonly attempt?: number;
}

/** The job was stored, or was queued again by `resume` or `replay` after it had failed. */
export interface EnqueuedEvent extends JobEvent {
  readonly type: 'enqueued';
}

/** A worker has started an attempt. */
export interface StartedEvent extends JobEvent {
  readonly type: 'started';
}

/** The handler has reported progress, or has set a custom state. */
export interface ProgressEvent extends JobEvent {
  readonly type: 'progress';
  /** The latest value; `undefined` if there is none, or this app does not have the codec that encoded it. */
  readonly value: unknown;
  /** The custom state of the task. */
  readonly state?: string;
}

/** The attempt failed, or could not start, and the job will be retried. */
export interface RetriedEvent extends JobEvent {
  readonly type: 'retried';
  /** Delay until the retry, in milliseconds. */
  readonly delayMs: number;
  /** Why the attempt failed, as stored. Absent if it could not start, or if the store does not keep the reason. */
  readonly reason?: string;
}

/** The worker that ran the job was lost. The job waits for another worker. */
export interface StalledEvent extends JobEvent {
  readonly type: 'stalled';
}

/** The job has completed. */
export interface CompletedEvent extends JobEvent {
  readonly type: 'completed';
}

/** The job has failed for good. */
export interface FailedEvent extends JobEvent {
  readonly type: 'failed';
  /** The reason as stored: with codecs, only the name of the error. `app.deadLetters` has the whole error. */
  readonly reason: string;
}

/** The job ended without a result: `revoked`, `expired` (not started in time) or `skipped` (no longer needed). */
export interface EndedEvent extends JobEvent {
  readonly type: 'revoked' | 'expired' | 'skipped';
}

/** A workflow, or a call with callbacks, was stored or resumed. */
export interface RunStartedEvent extends EventBase {
  readonly type: 'run-started';
  readonly runId: string;
}

/** A workflow run has completed or failed. */
export interface RunFinishedEvent extends EventBase {
  readonly type: 'run-finished';
  readonly runId: string;
  readonly state: 'completed' | 'failed' | 'revoked' | 'expired' | 'skipped';
}

/** Fields of the events of a wait for a signal. */
interface WaitEvent extends EventBase {
  readonly runId: string;
  /** The id of the job that waits, as in `run.graph()`. */
  readonly step: string;
  /** The name of the signal. */
  readonly signal: string;
  /** The key that a sender of the signal names. */
  readonly key: string;
}

/** A workflow has begun to wait for a signal. */
export interface WaitingEvent extends WaitEvent {
  readonly type: 'waiting';
  /** The timeout. Absent: the wait has no end. */
  readonly until?: Date;
}

/** A workflow continues with the payload of a signal. */
export interface SignalledEvent extends WaitEvent {
  readonly type: 'signalled';
}

/** A process that runs tasks. */
export interface WorkerFacts {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly pid: number;
}

/** A worker has started or stopped to claim jobs. */
export interface WorkerEvent extends EventBase {
  readonly type: 'worker-online' | 'worker-offline';
  readonly worker: WorkerFacts;
}

/** The store dropped events of this queue before they were read: those before the next event are missing. */
export interface GapEvent extends EventBase {
  readonly type: 'gap';
  readonly queue: string;
}

/**
 * One event of an app, distinguished by its `type`.
 *
 * @example
 * for await (const event of app.events({ types: ['failed', 'run-finished'] })) {
 *   if (event.type === 'failed') console.log(event.id, event.reason);
 * }
 */
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
  | WaitingEvent
  | SignalledEvent
  | WorkerEvent
  | GapEvent;

/** The types of events. */
export type EventType = AppEvent['type'];

/** The events of some types, with `type` narrowed to them. */
export type EventOf<Type extends EventType> = AppEvent extends infer Event
  ? Event extends { readonly type: infer Own }
    ? [Own] extends [Type]
      ? Event
      : [Own & Type] extends [never]
        ? never
        : Event & { readonly type: Own & Type }
    : never
  : never;

/** Selects events, and where to start. */
export interface EventQuery<Type extends EventType = EventType> {
  /**
   * Where to start: `'now'` (the default) with events after the call; `'start'` with the oldest event that the store
   * keeps (about the last 10,000 of each queue, for at most `resultTtl`); at a moment; or after the `position` of an
   * earlier event.
   */
  from?: 'now' | 'start' | Date | string | undefined;
  /** Only events of these types. Default: all. Without `'gap'`, dropped events are only logged. */
  types?: readonly Type[] | undefined;
  /** Only events of jobs of these tasks. Events of runs and workers are left out. */
  tasks?: readonly string[] | undefined;
  /** Only events of jobs in these queues. Events of runs and workers are left out. Default: all queues of the app. */
  queues?: readonly string[] | undefined;
  /** Only events of the job with this id, or of the run with this id and its steps. */
  id?: string | undefined;
  /** Ends the events, without an error. */
  signal?: AbortSignal | undefined;
}
