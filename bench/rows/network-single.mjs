// The row `single` with a network between the systems and Redis.
import { row as single } from './single.mjs';

const { celery: _, ...rest } = single;

export const row = {
  ...rest,
  title: 'single no-op tasks over a network of 1 ms each way, concurrency 100, validation on',
  networkMs: 1,
  size: { full: 20_000, quick: 3_000 },
  targets: [{ of: 'both', against: 'bullmq', times: 1 }],
};
