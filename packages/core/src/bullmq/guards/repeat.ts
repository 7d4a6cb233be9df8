import { isTransient } from './transient.js';

export const RETRY_MS = { first: 50, max: 1000 };

export interface RepeatOptions {
  readonly limitMs: number;
  readonly pause: (ms: number) => Promise<void>;
  /** Whether the store is not to be reached any more. */
  readonly isOver: () => boolean;
}

/** What the command gives, tried again for a while when the store is not ready; so it must be one that may be repeated. */
export async function repeat<T>(
  command: () => Promise<T>,
  { limitMs, pause, isOver }: RepeatOptions,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (let pauseMs = RETRY_MS.first; ; pauseMs = Math.min(pauseMs * 2, RETRY_MS.max)) {
    try {
      return await command();
    } catch (error) {
      if (isOver() || performance.now() + pauseMs > deadline || !isTransient(error)) throw error;
      await pause(pauseMs);
    }
  }
}
