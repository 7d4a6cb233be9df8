// Many calls sent at once. BullMQ is given them in the slices of 500 that Umbel makes; Celery has no such call and
// sends them on one connection, as its documentation advises.
const SLICE = 500;

export const row = {
  title: 'bulk enqueue',
  unit: 'task',
  size: { full: 20_000, quick: 5_000, celery: 2_000, celeryQuick: 500 },
  targets: [{ of: 'send', against: 'bullmq', times: 2 }],
  systems: {
    async umbel({ adapter, url, size, phase }) {
      const own = adapter.open(url);
      await own.noop.delay({ a: 0 });
      await phase('send', async () => {
        await own.noop.sendMany(Array.from({ length: size }, (_, a) => ({ a })));
      });
      await own.close();
    },
    async bullmq({ adapter, url, size, phase }) {
      const own = adapter.open(url);
      await own.queue.add('noop', { a: 0 });
      await phase('send', async () => {
        for (let start = 0; start < size; start += SLICE) {
          const count = Math.min(SLICE, size - start);
          await own.queue.addBulk(
            Array.from({ length: count }, (_, a) => ({ name: 'noop', data: { a: start + a } })),
          );
        }
      });
      await own.close();
    },
  },
  celery: (size) => ['bulk', size],
};
