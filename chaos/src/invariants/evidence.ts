/** All that a campaign has left behind, for the invariants to judge. */
import type { World } from '../../../packages/canvas/test/support/interpreter.js';
import type { HistoryLine, SeenOutcome } from '../history.js';
import type { LedgerEntry } from '../ledger.js';
import type { Poison } from '../poison.js';
import type { StoredState } from '../stored-state.js';
import type { Limits } from '../timed-tasks.js';

export interface Evidence {
  readonly lockMs: number;
  readonly workflows: readonly JudgedWorkflow[];
  readonly ledger: readonly LedgerEntry[];
  readonly history: readonly HistoryLine[];
  /** Sendings are refused while the store is away for long. */
  readonly mayReject: boolean;
  /** How often work that is open when the faults end may have to be recovered one after the other. */
  readonly recoveries: number;
  readonly store: StoredState;
  /** Limits of the limited queue, if there is one. */
  readonly limits?: Limits | undefined;
  /** Schedules of which each second has an occurrence, in a time in which all of them must have been sent. */
  readonly schedules?: { readonly count: number; readonly from: number; readonly to: number } | undefined;
  /** How far times of the store and of the ledger may differ. */
  readonly clockErrorMs: number;
  /** The time to live of everything has passed. */
  readonly isEmptyInTheEnd: boolean;
}

/** A workflow with what is known of it. */
export interface JudgedWorkflow {
  readonly index: number;
  /** Its run, if the sending was acknowledged. */
  readonly run: string | undefined;
  /** All runs that were acknowledged: one, however often it was sent with its key. */
  readonly runs: readonly string[];
  readonly poison?: Poison;
  /** Set for a call that is to start after a while. */
  readonly appointment?: {
    readonly countdownMs: number;
    readonly submittedAt: number;
    readonly acknowledgedAt: number | undefined;
  };
  /** A part of it is sent piece by piece; if the sender dies meanwhile, it fails. */
  readonly isFed: boolean;
  /** All that may become of it; none unless it is a composition. */
  readonly worlds: () => readonly World[];
  /** What whoever waited for it was told, and when; since when they waited. */
  readonly told: { readonly outcome: SeenOutcome; readonly at: number; readonly since: number } | undefined;
  /** What the store said in the end. */
  readonly final: { readonly state: string; readonly outcome: SeenOutcome } | undefined;
  readonly revokes: readonly { readonly at: number; readonly answer: boolean }[];
  readonly entries: readonly LedgerEntry[];
}

export interface Violation {
  /** Such as `I1`. */
  readonly invariant: string;
  readonly workflow?: number;
  readonly run?: string | undefined;
  readonly message: string;
}

/** Whether a workflow is a composition, of which the worlds are known. */
export function isComposed({ poison, appointment }: JudgedWorkflow): boolean {
  return poison === undefined && appointment === undefined;
}

/** A rule that holds whatever faults have struck; pure. */
export type Invariant = (evidence: Evidence) => Violation[];

export type FaultLine = Extract<HistoryLine, { event: 'fault' }>;

/** Faults that struck one of the processes, or the store, in a time. */
export function faultsIn(
  history: readonly HistoryLine[],
  pids: readonly number[],
  from: number,
  to: number,
): FaultLine[] {
  return history.flatMap((line) => {
    if (line.event !== 'fault' || line.at < from || line.since > to) return [];
    return line.target === 'store' || pids.includes(line.target.pid) ? [line] : [];
  });
}

export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
