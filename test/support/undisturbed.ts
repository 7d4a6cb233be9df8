/** Scenarios that hold only while their own process runs, such as the times of locks that it must renew. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const MOST_TRIES = 6;

/**
 * Runs `scenario`, and runs it again if it fails while this process stood still for more than `longestMs`, as on a machine
 * with other work. `longestMs` is in milliseconds. Each run begins anew: `scenario` makes what it uses.
 */
export async function undisturbed(longestMs: number, scenario: () => Promise<void>): Promise<void> {
  for (let left = MOST_TRIES - 1; ; left -= 1) {
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    try {
      return await scenario();
    } catch (error) {
      if (left === 0 || delay.max / 1e6 <= longestMs) throw error;
    } finally {
      delay.disable();
    }
  }
}
