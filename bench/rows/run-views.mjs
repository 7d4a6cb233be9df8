// What the handle of a long chain tells: its counts, its graph and the drawing of that, and each of its tasks.
import { chain } from '@umbel/canvas';
import { Meter } from '../run/meter.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { open } from '../systems/umbel.mjs';

const STEPS = { quick: [200, 600], full: [2000, 10_000] };

const VIEWS = {
  'counts()': (run) => run.counts(),
  'graph()': (run) => run.graph(),
  'graph().toMermaid()': async (run) => (await run.graph()).toMermaid(),
  'collect()': async (run, size) => {
    let count = 0;
    for await (const _ of run.collect()) count += 1;
    if (count !== size) throw new Error(`expected ${size} tasks, got ${count}`);
  },
};

export const row = {
  title: 'counts, graph and tasks of a long chain',
  async measure({ quick, say }) {
    const redis = await startRedis({ durable: false });
    const meter = new Meter(redis.url);
    const own = open(redis.url, { sendTimeout: '1m' });
    try {
      await own.start();
      const sizes = [];
      for (const size of STEPS[quick ? 'quick' : 'full']) {
        const [first, ...rest] = Array.from({ length: size }, () => own.increment);
        const run = await chain(first.s({ n: 0 }), ...rest).delay();
        await run.outcome({ timeout: '2m' });
        const views = {};
        for (const [name, view] of Object.entries(VIEWS)) {
          await meter.phase('view', () => view(run, size));
          const { ms, cpuMs, redisMs } = meter.take().phases.view;
          views[name] = { ms, cpuMs: cpuMs + redisMs };
        }
        sizes.push({ size, views });
        say(`run-views: ${size} steps`);
      }
      return { sizes };
    } finally {
      await own.close();
      meter.close();
      await redis.stop();
    }
  },
  lines({ sizes }) {
    return sizes.flatMap(({ size, views }) =>
      Object.entries(views).map(
        ([name, { ms, cpuMs }]) =>
          `${name} of ${size.toLocaleString('en')} steps: ${Math.round(ms)} ms, processor ${Math.round(cpuMs)} ms`,
      ),
    );
  },
  judge({ sizes }) {
    const [small, large] = [sizes[0], sizes.at(-1)];
    return Object.keys(VIEWS).flatMap((name) => {
      const each = ({ size, views }) => views[name].cpuMs / size;
      return [
        { what: `processor time of ${name} a step`, reached: each(large), most: 1, unit: 'ms' },
        {
          what: `the same at ${large.size} beside ${small.size}`,
          reached: each(large) / each(small),
          most: 1.5,
          unit: '×',
        },
      ].map((limit) => ({ ...limit, met: limit.reached <= limit.most }));
    });
  },
};
