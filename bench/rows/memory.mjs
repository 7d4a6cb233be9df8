// No-op tasks in this process, without Redis: Umbel and BullMQ on memory(), and BullMQ on a store of 60 lines.
export const row = {
  title: 'no-op tasks on memory(), concurrency 100',
  unit: 'task',
  size: { full: 20_000, quick: 5_000 },
  needsRedis: false,
  usesAdapters: false,
  targets: [{ of: 'process', perSecond: 60_000 }],
  systems: {
    async umbel({ size, phase }) {
      const [{ open }, { memory }] = await Promise.all([
        import('../systems/umbel.mjs'),
        import('@umbel/testing'),
      ]);
      // One name for all rounds: tasks of an app are remembered by it, and with them its store.
      const own = open(memory(), { name: 'bench' });
      for (let sent = 0; sent < size; sent += 1000)
        await Promise.all(
          Array.from({ length: Math.min(1000, size - sent) }, () => own.noop.delay({ a: 1 })),
        );
      const ran = own.noops(size);
      await phase('process', async () => {
        await own.start();
        await ran;
        return () => own.close();
      });
    },
    async bullmq(context) {
      const { memory } = await import('@umbel/testing');
      await bullmqOn(memory(), context);
    },
    async bare(context) {
      const { bare } = await import('../bare-backend.mjs');
      await bullmqOn(bare(), context);
    },
  },
};

async function bullmqOn(backend, { size, phase }) {
  const { open } = await import('../systems/bullmq.mjs');
  const own = open(undefined, { backend });
  for (let sent = 0; sent < size; sent += 1000) {
    const count = Math.min(1000, size - sent);
    await own.queue.addBulk(Array.from({ length: count }, () => ({ name: 'noop', data: { a: 1 } })));
  }
  const ran = own.jobs(size);
  await phase('process', async () => {
    await own.start();
    await ran;
    return () => own.close();
  });
}
