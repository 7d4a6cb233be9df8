import type { Envelope, EnvelopeContent } from './envelope.js';
import type { NormalizedRetry } from './shared-options.js';

/** A job that a worker has claimed, as the rest of the package sees it. */
export interface ActiveJob {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  /** As stored; not yet checked. */
  readonly data: unknown;
  /** Counted from 1. */
  readonly attempt: number;
  /** How often it was claimed, this time included; also by workers that have died. */
  readonly starts: number;
  /** How often the store has put it back because its worker did not renew its lock. */
  readonly stalls: number;
  /** As it was sent; absent if the sender gave none. */
  readonly retry: NormalizedRetry | undefined;
  readonly priority: number | undefined;
  /** When it was sent, in milliseconds since 1970. */
  readonly enqueuedAt: number;
  /** How long it was to wait then before its first attempt, in milliseconds. */
  readonly delayMs: number;
  /** Aborted when the attempt is given up. */
  readonly signal: AbortSignal;
  /** Ends the attempt with an error, whatever its handler does; also aborts its signal. */
  giveUp(reason: Error): void;
  /** Calls `listener` when the attempt is given up, after those that were given before. */
  onGiveUp(listener: GiveUpListener): void;
  /** Ends that: what the listener was to end has ended. */
  offGiveUp(listener: GiveUpListener): void;
  /** Calls `listener` when the job's outcome is stored, or it is this worker's no more. */
  onceStored(listener: () => void): void;
  /**
   * Decides, if the job is lost while its worker lives, whether the loss counts all the same. Without it, it does not
   * (`lost-starts.ts`).
   */
  chargeLossIf(isCharged: () => boolean): void;
  /** False once the store has said that no child is pending. */
  readonly mayHavePendingChildren: boolean;
  /** How often it was to wait for children, since it was claimed, and the store had none to wait for. */
  readonly refusedWaits: number;
  /** Results of the children that completed, by job id, as stored. */
  childResults(): Promise<ReadonlyMap<string, unknown>>;
  /** The children that failed. */
  failedChildren(): Promise<readonly FailedChild[]>;
  /** The queues of those children that either answer has told of, by their ids. */
  readonly endedChildren: ReadonlyMap<string, string>;
  /** Adds to what is stored with the job. To be called before its outcome is committed. */
  save(content: Partial<EnvelopeContent>): Promise<void>;
  /** Lets calls be added that are the same as this one. */
  endUniqueness(): Promise<void>;
  /**
   * The same of what depends on what is stored by now. `change` may be called more than once; undefined changes nothing.
   */
  change(change: (content: Envelope) => Partial<EnvelopeContent> | undefined): Promise<void>;
  updateProgress(value: unknown): Promise<void>;
  log(line: string): Promise<void>;
}

export type GiveUpListener = (reason: Error) => void;

export interface FailedChild {
  readonly id: string;
  readonly queue: string;
  /** The message of its error. */
  readonly reason: string;
}

/** What is shown of an error in the store, to whatever program looks at it. */
export interface ShownError {
  /** Of its class. */
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

/** How an attempt ended, for whoever commits it. */
export type AttemptOutcome =
  /** With a result, as it is to be stored. */
  | { readonly kind: 'completed'; readonly value: unknown }
  /** Another attempt follows. */
  | { readonly kind: 'retry'; readonly delayMs: number; readonly error: ShownError }
  /** No other attempt follows. `isUpstream` where a job has failed that it waited for, and its handler did not run. */
  | { readonly kind: 'failed'; readonly error: ShownError; readonly isUpstream?: true }
  /** It waits for its children; if more than `seen` of them have failed by then, it is started again. */
  | { readonly kind: 'waiting'; readonly seen?: number }
  /** It was taken by another worker, whose run of it counts. */
  | { readonly kind: 'lost' }
  /** Not attempted at all: it goes back to its queue, for a while, and is not charged. */
  | { readonly kind: 'returned'; readonly delayMs: number };

/** Where a job is. */
export interface JobRef {
  readonly queue: string;
  readonly id: string;
}

/** A job whose record the store holds in a form that BullMQ cannot read. */
export interface UnreadableJob {
  readonly id: string;
  readonly queue: string;
  /** Adds a line to the log of the job. */
  log(line: string): Promise<void>;
}
