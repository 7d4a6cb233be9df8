/** W24: while the store refuses to hand out jobs, BullMQ asks again at once, thousands of times a second. */
import type { IQueueBackend } from 'bullmq';

const PAUSE_MS = { first: 100, max: 5000 };

export interface BackOffOptions {
  readonly pause: (ms: number) => Promise<void>;
  readonly isClosing: () => boolean;
}

/** Waits after an error, longer after each one that follows, before the next command can be given. */
export function backsOff(backend: IQueueBackend, { pause, isClosing }: BackOffOptions): void {
  const moveToActive = backend.moveToActive.bind(backend);
  let pauseMs = PAUSE_MS.first;
  backend.moveToActive = async (...args) => {
    try {
      const answer = await moveToActive(...args);
      pauseMs = PAUSE_MS.first;
      return answer;
    } catch (error) {
      for (let waitedMs = 0; waitedMs < pauseMs && !isClosing(); waitedMs += PAUSE_MS.first)
        await pause(PAUSE_MS.first);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS.max);
      throw error;
    }
  };
}
