// The row `chord` with a network between the systems and Redis.
import { row as chord } from './chord.mjs';

const { celery: _, ...rest } = chord;

export const row = {
  ...rest,
  title: 'chord of 1,000 over a network of 1 ms each way',
  networkMs: 1,
  size: { full: 1_000, quick: 1_000 },
  targets: [{ of: 'run', against: 'bullmq', times: 1 }],
};
