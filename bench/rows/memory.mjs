// No-op tasks in this process, without Redis: Umbel and BullMQ on memory(), and BullMQ on a store of 60 lines. Each process has
// run some before, so that the figures are of compiled code.
const WARM_UP = 20_000;

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
      const opened = () => open(memory(), { name: 'bench' });
      const send = (own, count) => Promise.all(Array.from({ length: count }, () => own.noop.delay({ a: 1 })));
      await run(opened(), send, (own) => own.noops(WARM_UP), WARM_UP);
      await run(opened(), send, (own) => own.noops(size), size, phase);
    },
    async bullmq(context) {
      const { memory } = await import('@umbel/testing');
      await bullmqOn(memory, context);
    },
    async bare(context) {
      const { bare } = await import('../bare-backend.mjs');
      await bullmqOn(bare, context);
    },
  },
};

async function bullmqOn(store, { size, phase }) {
  const { open } = await import('../systems/bullmq.mjs');
  const opened = () => open(undefined, { backend: store() });
  const send = (own, count) =>
    own.queue.addBulk(Array.from({ length: count }, () => ({ name: 'noop', data: { a: 1 } })));
  await run(opened(), send, (own) => own.jobs(WARM_UP), WARM_UP);
  await run(opened(), send, (own) => own.jobs(size), size, phase);
}

/** Sends so many tasks, then runs them. Without `phase` it is not measured. */
async function run(own, send, running, size, phase = async (_name, pass) => (await pass())()) {
  for (let sent = 0; sent < size; sent += 1000) await send(own, Math.min(1000, size - sent));
  const ran = running(own);
  await phase('process', async () => {
    await own.start();
    await ran;
    return () => own.close();
  });
}
