/** What follows on the end of a process of a worker. */
import type { CloseReason } from '../worker/app-worker.js';

/** A process that ended after less than this has likely the same trouble again. */
const SOUND_MS = 60_000;
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;
const SIGNALLED_MS = 200;

/** How long to wait before a process is started in place of one that ended, the `failures`th in a row: 0, 1 s, 2 s … 30 s. */
export function restartDelayMs(failures: number): number {
  return failures <= 1 ? 0 : Math.min(FIRST_MS * 2 ** (failures - 2), LONGEST_MS);
}

export interface EndedProcess {
  /** How long it has taken jobs; undefined if it never did. */
  readonly ranMs: number | undefined;
  /** Why it said that it would end, if it did. */
  readonly reason: CloseReason | undefined;
  /** Ends of processes of this place, one soon after the other, before this one. */
  readonly failures: number;
}

export interface RestartRules {
  /** Whether the worker is starting: then a process that never took jobs is why it cannot. */
  readonly isStarting: boolean;
  /** Whether a change of its program starts it anew: then what cannot run waits for one. */
  readonly isWatching: boolean;
}

export type AfterEnd =
  | { readonly kind: 'restart'; readonly delayMs: number; readonly failures: number }
  | { readonly kind: 'wait-for-change' }
  | { readonly kind: 'fail-start' };

/** What to do about a process that has ended, or is about to, though the worker goes on. */
export function afterEnd({ ranMs, reason, failures }: EndedProcess, rules: RestartRules): AfterEnd {
  if (ranMs === undefined && rules.isWatching) return { kind: 'wait-for-change' };
  if (ranMs === undefined && rules.isStarting) return { kind: 'fail-start' };
  if (reason === 'max-jobs') return { kind: 'restart', delayMs: 0, failures: 0 };
  // Most likely all processes got it at once, and the supervisor is about to see it.
  if (reason === 'signal') return { kind: 'restart', delayMs: SIGNALLED_MS, failures: 0 };
  const isSound = ranMs !== undefined && ranMs >= SOUND_MS;
  const next = isSound ? 1 : failures + 1;
  return { kind: 'restart', delayMs: restartDelayMs(next), failures: next };
}
