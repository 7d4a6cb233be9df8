/** Ends a worker that has done enough, or takes too much memory. */
import type { Activity } from './activity.js';
import { inMegabytes } from './bytes.js';

/** Memory is looked at also while nothing ends. */
const LOOK_MS = 5000;

export interface LimitOptions {
  readonly maxJobs: number | undefined;
  readonly maxMemoryBytes: number | undefined;
  /** Called once, with what was reached. */
  readonly onReached: (reason: 'max-jobs' | 'max-memory', words: string) => void;
  readonly residentBytes?: () => number;
}

/** Watches from now on; gives a function that stops it. */
export function watchLimits(activity: Activity, options: LimitOptions): () => void {
  const { maxJobs, maxMemoryBytes, residentBytes = process.memoryUsage.rss } = options;
  if (maxJobs === undefined && maxMemoryBytes === undefined) return () => {};
  let jobs = 0;
  const stop = () => {
    clearInterval(timer);
    forget();
  };
  const reached = (reason: 'max-jobs' | 'max-memory', words: string) => {
    stop();
    options.onReached(reason, words);
  };
  const look = () => {
    if (maxJobs !== undefined && jobs >= maxJobs) return reached('max-jobs', `it has run ${jobs} attempts`);
    if (maxMemoryBytes === undefined) return;
    const bytes = residentBytes();
    if (bytes > maxMemoryBytes) {
      reached(
        'max-memory',
        `its process uses ${inMegabytes(bytes)}, more than ${inMegabytes(maxMemoryBytes)}`,
      );
    }
  };
  const forget = activity.listen({
    ended() {
      jobs += 1;
      look();
    },
  });
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return stop;
}
