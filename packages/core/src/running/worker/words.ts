/** What workers say of the jobs that they have. */
import type { ActiveAttempt } from './activity.js';

const SHOWN_ATTEMPTS = 10;

/** Attempts for people, the first few of them. */
export function shownAttempts(attempts: readonly ActiveAttempt[], now: number): string {
  const words = attempts
    .slice(0, SHOWN_ATTEMPTS)
    .map(({ task, id, startedAt }) => `${task} ${id} (${Math.round((now - startedAt.getTime()) / 1000)} s)`);
  const more = attempts.length > words.length ? ` and ${attempts.length - words.length} more` : '';
  const jobs = attempts.length === 1 ? 'a job that still runs' : `${attempts.length} jobs that still run`;
  return `${jobs}: ${words.join(', ')}${more}`;
}

/** What a worker that ends waits for, and how long; nothing if nothing runs. */
export function shownWait(running: number, timeoutMs: number | undefined): string {
  if (running === 0) return '';
  const limit = timeoutMs === undefined ? '' : ` for up to ${timeoutMs / 1000} s`;
  return `; waiting${limit} for ${running} that run${running === 1 ? 's' : ''}`;
}
