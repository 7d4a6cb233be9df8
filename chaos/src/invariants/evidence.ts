/** All that a campaign has left behind, for the invariants to judge. */
import type { World } from '../../../packages/canvas/test/support/interpreter.js';
import type { HistoryLine, SeenOutcome } from '../history.js';
import type { LedgerEntry } from '../ledger.js';
import type { Poison } from '../poison.js';
import type { StoredState } from '../stored-state.js';

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
}

/** A workflow with what is known of it. */
export interface JudgedWorkflow {
  readonly index: number;
  /** Its run, if the sending was acknowledged. */
  readonly run: string | undefined;
  /** All runs that were acknowledged: one, however often it was sent with its key. */
  readonly runs: readonly string[];
  readonly poison?: Poison;
  /** A part of it is sent piece by piece; if the sender dies meanwhile, it fails. */
  readonly isFed: boolean;
  /** All that may become of it; none for poison. */
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

/** A rule that holds whatever faults have struck; pure. */
export type Invariant = (evidence: Evidence) => Violation[];

/** Faults that struck one of the processes, or the store, in a time. */
export function faultsIn(
  history: readonly HistoryLine[],
  pids: readonly number[],
  from: number,
  to: number,
): HistoryLine[] {
  return history.filter((line) => {
    if (line.event !== 'fault' || line.at < from || line.since > to) return false;
    return line.target === 'store' || pids.includes(line.target.pid);
  });
}

export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
