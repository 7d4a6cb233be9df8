/** Scenarios that hold only while their own process runs, such as the times of locks that it must renew. */

const MOST_TRIES = 6;

/**
 * Runs `scenario`, and runs it again if it fails while this process stood still for more than `longestMs`, as on a machine
 * with other work. `longestMs` is in milliseconds. Each run begins anew: `scenario` makes what it uses.
 */
export async function undisturbed(longestMs: number, scenario: () => Promise<void>): Promise<void> {
  for (let left = MOST_TRIES - 1; ; left -= 1) {
    const pauses = watchPauses();
    try {
      return await scenario();
    } catch (error) {
      if (left === 0 || pauses.longestMs() <= longestMs) throw error;
    } finally {
      pauses.stop();
    }
  }
}

/** Measures for how long nothing else runs in this process. */
function watchPauses() {
  let [last, longest] = [performance.now(), 0];
  const look = () => {
    const now = performance.now();
    [longest, last] = [Math.max(longest, now - last), now];
  };
  const timer = setInterval(look, 10);
  return {
    longestMs() {
      look();
      return longest;
    },
    stop: () => clearInterval(timer),
  };
}
