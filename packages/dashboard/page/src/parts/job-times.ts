/** How long a job waited and ran. The store keeps the times of its last attempt only. */
import type { JobDetails } from '../types.js';

type TimedJob = Pick<JobDetails, 'state' | 'attempts' | 'enqueuedAt'> &
  Partial<Pick<JobDetails, 'startedAt' | 'finishedAt'>>;

/** Returns names and milliseconds. A job between two attempts neither waits for its first one nor runs. */
export function timesOf(
  { state, attempts, enqueuedAt, startedAt, finishedAt }: TimedJob,
  now: number,
): readonly (readonly [name: string, ms: number])[] {
  if (startedAt === undefined) return [];
  const started = Date.parse(startedAt);
  const hasEnded = finishedAt !== undefined;
  const isRunning = !hasEnded && state === 'active';
  const hasEarlier = attempts > (hasEnded ? 1 : 0);
  return [
    ...(hasEarlier ? [] : [['Waited', started - Date.parse(enqueuedAt)] as const]),
    ...(hasEnded || isRunning
      ? [
          [
            hasEarlier ? 'Last attempt took' : 'Took',
            (hasEnded ? Date.parse(finishedAt) : now) - started,
          ] as const,
        ]
      : []),
  ];
}
