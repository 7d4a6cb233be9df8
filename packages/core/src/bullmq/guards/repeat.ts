import { isTransient } from './transient.js';

export const RETRY_MS = { first: 50, max: 1000 };

export interface RepeatOptions {
  readonly limitMs: number;
  /** Default: a second. */
  readonly longestPauseMs?: number;
  readonly pause: (ms: number) => Promise<void>;
  /** Whether the store is not to be reached any more. */
  readonly isOver: () => boolean;
}

/** What the command gives, tried again for a while when the store is not ready; so it must be one that may be repeated. */
export async function repeat<T>(
  command: () => Promise<T>,
  { limitMs, longestPauseMs = RETRY_MS.max, pause, isOver }: RepeatOptions,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  const maxMs = Math.min(longestPauseMs, RETRY_MS.max);
  for (let pauseMs = Math.min(RETRY_MS.first, maxMs); ; pauseMs = Math.min(pauseMs * 2, maxMs)) {
    try {
      return await command();
    } catch (error) {
      if (isOver() || performance.now() + pauseMs > deadline || !isTransient(error)) throw error;
      await pause(pauseMs);
    }
  }
}
