import { allValues } from './all-values.js';
import { appointments } from './appointments.js';
import { attempts } from './attempts.js';
import { deployments } from './deployments.js';
import type { Evidence, Invariant, Violation } from './evidence.js';
import { finalState } from './final-state.js';
import { inputsFirst } from './inputs-first.js';
import { loops } from './loops.js';
import { nothingLeft } from './nothing-left.js';
import { occurrences } from './occurrences.js';
import { oneResult } from './one-result.js';
import { ownFailures } from './own-failures.js';
import { queueLimits } from './queue-limits.js';
import { recovery } from './recovery.js';
import { revokeHolds } from './revoke-holds.js';
import { runs } from './runs.js';
import { sendings } from './sendings.js';
import { signals } from './signals.js';
import { waiters } from './waiters.js';

const INVARIANTS: readonly Invariant[] = [
  finalState,
  oneResult,
  runs,
  allValues,
  inputsFirst,
  ownFailures,
  nothingLeft,
  revokeHolds,
  waiters,
  recovery,
  attempts,
  sendings,
  deployments,
  appointments,
  occurrences,
  queueLimits,
  signals,
  loops,
];

/** Everything that is wrong with what a campaign has left behind. */
export function judge(evidence: Evidence): Violation[] {
  return INVARIANTS.flatMap((invariant) => invariant(evidence));
}
