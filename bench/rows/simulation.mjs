// A workflow of ten tasks under test with one seed after the other: an engine of its own for each, closed again.
export const row = {
  title: 'a workflow of ten tasks, once for each seed',
  unit: 'seed',
  size: { full: 200, quick: 50 },
  needsRedis: false,
  usesAdapters: false,
  targets: [{ of: 'run', perSecond: 1000 }],
  systems: {
    async umbel({ size, phase }) {
      const [{ createApp }, { chain, group }, { testApp }, { z }] = await Promise.all([
        import('@umbel/core'),
        import('@umbel/canvas'),
        import('@umbel/testing'),
        import('zod'),
      ]);
      const app = createApp({ name: 'bench' });
      const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
      const sum = app.task({
        name: 'sum',
        input: z.array(z.number()),
        run: async (all) => all.reduce((total, n) => total + n, 0),
      });
      const flow = chain(add, group([add, add, add]), sum, group([add, add, add]), sum, add);
      await phase('run', async () => {
        for (let seed = 1; seed <= size; seed += 1) {
          const t = await testApp(app, { seed });
          if ((await t.run(flow, 0)) !== 22) throw new Error('wrong result');
          await t.close();
        }
      });
    },
  },
};
