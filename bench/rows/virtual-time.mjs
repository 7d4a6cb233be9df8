// A workflow of 1,000 tasks with up to a day of countdown each and some retries, in virtual time: several times in a row,
// as in a file of tests.
export const row = {
  title: 'workflow of 1,000 tasks over virtual hours',
  unit: 'run',
  size: { full: 10, quick: 3 },
  needsRedis: false,
  usesAdapters: false,
  targets: [{ of: 'run', atMostMs: 50 }],
  systems: {
    async umbel({ size, phase }) {
      const [{ createApp }, { chord }, { testApp }, { z }] = await Promise.all([
        import('@umbel/core'),
        import('@umbel/canvas'),
        import('@umbel/testing'),
        import('zod'),
      ]);
      const app = createApp({ name: 'bench' });
      const double = app.task({
        name: 'double',
        input: z.number(),
        retry: { attempts: 3, delay: '1h' },
        run: async (n, { attempt }) => {
          if (n % 10 === 0 && attempt === 1) throw new Error('once');
          return n * 2;
        },
      });
      const count = app.task({ name: 'count', input: z.array(z.number()), run: async (ns) => ns.length });
      const t = await testApp(app);
      await phase('run', async () => {
        for (let run = 0; run < size; run += 1) {
          const members = Array.from({ length: 1000 }, (_, n) =>
            double.si(n).set({ countdown: `${n % 24}h` }),
          );
          if ((await t.run(chord(members, count))) !== 1000) throw new Error('some are missing');
        }
      });
      await t.close();
    },
  },
};
