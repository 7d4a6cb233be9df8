// A chord of 10,000, which BullMQ adds in one transaction; how long Redis was kept busy by one command.
import { chordSystems } from './chord-row.mjs';

export const row = {
  title: 'chord of 10,000',
  unit: 'member',
  size: { full: 10_000, quick: 2_000 },
  targets: [
    { of: 'run', against: 'bullmq', times: 1.5 },
    { fact: 'longest on average ms', most: 10 },
  ],
  systems: chordSystems,
};
