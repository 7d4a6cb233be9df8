// A group of 1,000 and the sum of its results, from the call to the result.
import { chordSystems } from './chord-row.mjs';

export const row = {
  title: 'chord of 1,000',
  unit: 'member',
  size: { full: 1_000, quick: 1_000, celery: 1_000, celeryQuick: 300 },
  targets: [
    { of: 'run', against: 'bullmq', times: 1.5 },
    { of: 'run', against: 'celery', times: 25 },
  ],
  systems: chordSystems,
  celery: (size) => ['chord', size],
};
