// Many tiny inputs of one task: Umbel packs a hundred into a job, bare BullMQ has a job for each.
const PACK = 100;

export const row = {
  title: `10,000 tiny inputs of one task, in jobs of ${PACK}`,
  unit: 'input',
  size: { full: 10_000, quick: 2_000 },
  targets: [{ of: 'run', against: 'bullmq', times: 5 }],
  systems: {
    async umbel({ adapter, url, size, phase }) {
      const { chunks } = await import('@umbel/canvas');
      const own = adapter.open(url);
      await own.start();
      const run = async (count) => {
        const inputs = Array.from({ length: count }, (_, n) => n);
        const results = await (await chunks(own.one, inputs, PACK).delay()).get();
        if (results.length !== count || results.at(-1) !== count - 1) throw new Error('wrong results');
      };
      await run(2 * PACK); // connects
      await phase('run', () => run(size));
      await own.close();
    },
    async bullmq({ adapter, url, size, phase }) {
      const own = adapter.open(url);
      await own.start();
      const flows = await own.flows();
      const run = async (count) => {
        if ((await flows.run(adapter.chordOf(own.name, count))) !== (count * (count - 1)) / 2)
          throw new Error('wrong sum');
      };
      await run(2 * PACK);
      await phase('run', () => run(size));
      await own.close();
    },
  },
};
