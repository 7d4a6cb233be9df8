/** Jobs as workers and the store exchange them: references, running jobs, and outcomes of attempts. */
import type { Envelope, EnvelopeContent } from './envelope.js';
import type { NormalizedRetry } from './shared-options.js';

/** A job that a worker has claimed. `store/held-job.ts` implements it. */
export interface ActiveJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  /** The stored data, not yet checked. */
  readonly data: unknown;
  /** Counted from 1. */
  readonly attempt: number;
  /** Number of claims by any worker, including this one and those of workers that died. */
  readonly starts: number;
  /** Number of times the store put the job back because its worker did not renew the lock. */
  readonly stalls: number;
  /** The retry options with which the job was sent, if any. */
  readonly retry: NormalizedRetry | undefined;
  readonly priority: number | undefined;
  /** Moment at which the job was sent, in milliseconds since 1970. */
  readonly enqueuedAt: number;
  /** Delay before the first attempt with which the job was sent, in milliseconds. */
  readonly delayMs: number;
  /** Aborted when the attempt is given up. */
  readonly signal: AbortSignal;
  /** Ends the attempt with an error, even if its handler continues, and aborts its signal. */
  giveUp(reason: Error): void;
  /** Calls `listener` when the attempt is given up, after the listeners that were added before. */
  onGiveUp(listener: GiveUpListener): void;
  /** Removes the listener. */
  offGiveUp(listener: GiveUpListener): void;
  /** Calls `listener` when the job's outcome is stored, or the job no longer belongs to this worker. */
  onceStored(listener: () => void): void;
  /** Sets whether the loss of this job counts although its worker is alive. By default it does not (see worker/poison.ts). */
  chargeLossIf(isCharged: () => boolean): void;
  /** False when the store has reported that no child is pending. */
  readonly mayHavePendingChildren: boolean;
  /** Number of waits for children since the claim that the store refused because no child was pending. */
  readonly refusedWaits: number;
  /** Notes that the job adds further children, so the store may refuse its next waits again. */
  expectChildren(): void;
  /** Returns the stored results of the completed children, by job id. */
  childResults(): Promise<ReadonlyMap<string, unknown>>;
  /** Returns the failed children. */
  failedChildren(): Promise<readonly FailedChild[]>;
  /** The queues of the children that `childResults` and `failedChildren` have returned, by job id. */
  readonly endedChildren: ReadonlyMap<string, string>;
  /** Adds fields to the stored data. Must be called before the outcome is committed. */
  save(content: Partial<EnvelopeContent>): Promise<void>;
  /** Ends deduplication: equal calls may be added again. */
  endUniqueness(): Promise<void>;
  /**
   * Adds fields that depend on the stored data. `change` may be called more than once; if it returns undefined, nothing
   * changes.
   */
  change(change: (content: Envelope) => Partial<EnvelopeContent> | undefined): Promise<void>;
  updateProgress(value: unknown): Promise<void>;
  log(line: string): Promise<void>;
}

export type GiveUpListener = (reason: Error) => void;

export interface FailedChild {
  readonly id: string;
  readonly queue: string;
  /** The error message. */
  readonly reason: string;
}

/** The part of an error that BullMQ's own fields show to every program. */
export interface ShownError {
  /** The name of its class. */
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

/** The outcome of an attempt, which the store commits. */
export type AttemptOutcome =
  /** The attempt has a result, in its stored form. */
  | { readonly kind: 'completed'; readonly value: unknown }
  /** The attempt failed, and another one follows. */
  | { readonly kind: 'retry'; readonly delayMs: number; readonly error: ShownError }
  /** The job failed. `isUpstream`: a job that it waited for has failed, so the handler did not run. */
  | { readonly kind: 'failed'; readonly error: ShownError; readonly isUpstream?: true }
  /** The job waits for its children. If more than `seen` of them have failed already, it is started again. */
  | { readonly kind: 'waiting'; readonly seen?: number }
  /** The job belongs to another worker, whose attempt counts. */
  | { readonly kind: 'lost' }
  /** The job was not attempted: it returns to its queue with a delay, and no attempt is counted. */
  | { readonly kind: 'returned'; readonly delayMs: number };

/** Identifies a job in the store. */
export interface JobRef {
  readonly queue: string;
  readonly id: string;
}

/** A job whose stored record BullMQ cannot read. */
export interface UnreadableJob {
  readonly id: string;
  readonly queue: string;
  /** Adds a line to the log of the job. */
  log(line: string): Promise<void>;
}
