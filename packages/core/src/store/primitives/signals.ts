/**
 * This module defines the records of signals and waits, one for each signal and key. All decisions about a wait change its
 * record in one step, so a signal, a timeout and a revocation cannot all win.
 *
 * ```
 * (none) ─▶ sent ──────────▶ taken by the wait that starts later
 * (none) ─▶ waiting ─┬─▶ signalled ─▶ ended ('taken', once the job of the wait has ended)
 *                    └─▶ ended ('timeout', 'revoked', or 'gone' if its job is missing)
 * ```
 *
 * `sent` and `ended` records expire. An open record (`waiting`, `signalled`) stays; a wait whose job has ended or is missing
 * counts as ended, whoever looks at it next.
 */
import type { IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

/** A signal and a key. */
interface SignalAddress {
  /** The id of the record. */
  readonly id: string;
  readonly signal: string;
  readonly key: string;
}

/** A wait that starts, or starts again after its worker was lost. */
export interface StartedWait extends SignalAddress {
  /** The job of the internal queue that waits. */
  readonly job: string;
  readonly since: number;
  /** Absent: it has no end. */
  readonly until?: number;
  /** The wait may have begun in an earlier start of the job, so an ended record of this job is its outcome. */
  readonly isRestart: boolean;
}

/** The state of a wait, for its job. */
export type WaitState =
  | { readonly kind: 'waiting'; readonly since: number; readonly until?: number }
  /** The stored payload, and when the signal was sent. */
  | { readonly kind: 'signalled'; readonly payload: string; readonly at: number }
  /** Without `since` if there is no record. */
  | { readonly kind: 'ended'; readonly reason: WaitEnd; readonly since?: number; readonly until?: number }
  /** Another job waits for the same signal and key. */
  | { readonly kind: 'other'; readonly job: string };

/** How a wait ended. */
export type WaitEnd = 'taken' | 'timeout' | 'revoked' | 'gone';

/** A signal that is sent. */
export interface NewSignal extends SignalAddress {
  /** Unique for each call of a sender: a repeated command gets the first answer. */
  readonly token: string;
  /** In stored form. */
  readonly payload: string;
  readonly now: number;
  /** How long it is kept for a wait that starts later. */
  readonly keepMs: number;
  /** How long the record of an ended wait is kept. */
  readonly endedMs: number;
}

/** The answer to a signal. `job`: the waiting job that must be started now, also if an earlier sender died before it did. */
export interface SignalDecision {
  readonly answer: 'accepted' | 'duplicate' | 'tooLate';
  readonly job?: string;
}

/** An open wait: waiting, or signalled with a job that has not ended yet. */
export interface OpenWaitRecord extends SignalAddress {
  readonly job: string;
  readonly since: number;
  readonly until?: number;
  readonly isSignalled: boolean;
}

/** A page of open waits, ordered by signal and start. */
export interface OpenWaitPage {
  readonly waits: readonly OpenWaitRecord[];
  /** Where the next page begins. Absent: this is the last page. */
  readonly next?: string;
}

export interface SignalPrimitives {
  /** Starts a wait: takes a signal that was sent before, or registers the job as the one that waits. */
  startWait(wait: StartedWait): Promise<WaitState>;
  /** Decides about a signal, and stores its payload if it is accepted. */
  sendSignal(signal: NewSignal): Promise<SignalDecision>;
  /** Ends the wait of a job, unless it has an outcome. `taken` ends a signalled wait whose job has ended. */
  endWait(id: string, job: string, reason: WaitEnd, endedMs: number): Promise<WaitState>;
  /** Removes the ended record of a job that waits again, so that a signal sent before its next start is kept. */
  reopenWait(id: string, job: string): Promise<void>;
  /** Returns up to `limit` open waits, of one signal if it is set, after the position `after`. */
  listWaits(signal: string | undefined, after: string | undefined, limit: number): Promise<OpenWaitPage>;
  /** Returns the open wait of a signal and a key. */
  findWait(id: string): Promise<OpenWaitRecord | undefined>;
  /**
   * Checks up to `limit` open waits after a position: ends those whose job has ended or is missing, and returns the delayed
   * jobs whose signal is there (their sender died before it started them).
   */
  checkWaits(after: string | undefined, limit: number, endedMs: number): Promise<CheckedWaits>;
}

export interface CheckedWaits {
  readonly checked: number;
  readonly ended: number;
  readonly unstarted: readonly string[];
  readonly next?: string;
}

/** The queue whose keys hold the records. It has no jobs. */
export const SIGNAL_QUEUE = 'umbel.signals';

/** Returns the commands of a store, for its queue of signals; undefined if it has none. */
export function signalPrimitivesOf(backend: IQueueBackend): SignalPrimitives | undefined {
  const commands = commandsOf(backend);
  return 'startWait' in commands && 'sendSignal' in commands
    ? (commands as typeof commands & SignalPrimitives)
    : undefined;
}
