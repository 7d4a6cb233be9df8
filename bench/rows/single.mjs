// Single no-op tasks: sent with 100 calls under way, then run by a worker that starts with all of them waiting. Each process
// has run some before, so that the figures are of compiled code, as in a worker that has run for a while.
import { inFlight } from '../run/in-flight.mjs';

const WIDTH = 100;
const WARM_UP = 5_000;

export const row = {
  title: 'single no-op tasks, concurrency 100, validation on',
  unit: 'task',
  size: { full: 20_000, quick: 3_000, celery: 2_000, celeryQuick: 500 },
  targets: [
    { of: 'both', against: 'bullmq', times: 1.3 },
    { of: 'send', against: 'bullmq', times: 1.5 },
    { of: 'process', against: 'bullmq', times: 1.25 },
    { of: 'both', against: 'celery', times: 8 },
  ],
  systems: {
    async umbel({ adapter, url, size, phase }) {
      await adapter.warmUp(url, WARM_UP);
      const own = adapter.open(url);
      await own.noop.delay({ a: 0 }); // connects
      await phase('send', () => inFlight(size - 1, WIDTH, () => own.noop.delay({ a: 1 })));
      const ran = own.noops(size);
      await phase('process', async () => {
        await own.start();
        await ran;
        return () => own.close();
      });
    },
    async bullmq({ adapter, url, size, phase }) {
      await adapter.warmUp(url, WARM_UP);
      const own = adapter.open(url);
      await own.queue.add('noop', { a: 0 });
      await phase('send', () => inFlight(size - 1, WIDTH, () => own.queue.add('noop', { a: 1 })));
      const ran = own.jobs(size);
      await phase('process', async () => {
        await own.start();
        await ran;
        return () => own.close();
      });
    },
  },
  celery: (size) => ['single', size],
};
