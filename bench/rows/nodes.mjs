// How much a workflow costs beyond its tasks: nodes of workflows a second, beside plain jobs a second of the same system.
// A node is a task of the user; joins and other internal jobs do not count. So many workflows are under way that the worker
// always has something to do.
import { chain, chord } from '@umbel/canvas';
import { inFlight } from '../run/in-flight.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { summary } from '../run/statistics.mjs';
import * as bullmq from '../systems/bullmq.mjs';
import * as umbel from '../systems/umbel.mjs';

const STEPS = 10;
const MEMBERS = 10;
const LEAST_SHARE = 0.7;

/** Each sends a job or a workflow and resolves with its result; `width` calls are under way, with 100 jobs in all. */
const SHAPES = {
  'plain jobs': { nodes: 1, width: 100 },
  [`chains of ${STEPS}`]: { nodes: STEPS, width: 100 },
  [`chords of ${MEMBERS}`]: { nodes: MEMBERS + 1, width: 10 },
};

const systems = {
  async umbel(url) {
    const { noop, increment, one, sum, start, close } = umbel.open(url);
    await start();
    const later = Array.from({ length: STEPS - 1 }, () => increment);
    const members = Array.from({ length: MEMBERS }, (_, n) => one.si(n));
    const calls = [
      async () => (await noop.delay({ a: 1 })).get(),
      async () => (await chain(increment.s({ n: 0 }), ...later).delay()).get(),
      async () => (await chord(members, sum).delay()).get(),
    ];
    return { calls, close };
  },
  async bullmq(url) {
    const own = bullmq.open(url);
    await own.start();
    const flows = await own.flows();
    flows.events.setMaxListeners(0);
    own.queue.setMaxListeners(0);
    const calls = [
      async () => (await own.queue.add('noop', { a: 1 })).waitUntilFinished(flows.events),
      () => flows.run(bullmq.chainOf(own.name, STEPS)),
      () => flows.run(bullmq.chordOf(own.name, MEMBERS)),
    ];
    return { calls, close: () => own.close() };
  },
};

export const row = {
  title: 'nodes of workflows a second, beside plain jobs of the same system',
  async measure({ quick, say }) {
    const [rounds, jobs] = quick ? [3, 2000] : [9, 10_000];
    const names = Object.keys(SHAPES);
    const perSecond = Object.fromEntries(Object.keys(systems).map((name) => [name, names.map(() => [])]));
    const redis = await startRedis({ durable: false });
    const opened = {};
    try {
      for (const [name, open] of Object.entries(systems)) opened[name] = await open(redis.url);
      for (let round = 0; round <= rounds; round += 1) {
        say(`nodes: ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}`);
        for (const [name, { calls }] of Object.entries(opened)) {
          for (const [at, { nodes, width }] of Object.values(SHAPES).entries()) {
            const count = Math.ceil(jobs / nodes);
            const startedAt = performance.now();
            await inFlight(count, width, calls[at]);
            const figure = (count * nodes * 1000) / (performance.now() - startedAt);
            if (round > 0) perSecond[name][at].push(figure);
          }
        }
      }
    } finally {
      for (const { close } of Object.values(opened)) await close();
      await redis.stop();
    }
    return Object.fromEntries(
      Object.entries(perSecond).map(([name, shapes]) => [
        name,
        Object.fromEntries(
          shapes.map((figures, at) => [
            names[at],
            {
              perSecond: summary(figures).median,
              share: summary(figures.map((figure, round) => figure / shapes[0][round])).median,
            },
          ]),
        ),
      ]),
    );
  },
  lines: (figures) =>
    Object.entries(figures).flatMap(([name, shapes]) =>
      Object.entries(shapes).map(
        ([shape, { perSecond, share }]) =>
          `${name}, ${shape}: ${Math.round(perSecond)} nodes a second, ${share.toFixed(2)} × plain jobs`,
      ),
    ),
  judge: ({ umbel: shapes }) =>
    Object.entries(shapes)
      .slice(1)
      .map(([shape, { share }]) => ({
        what: `nodes a second in ${shape}`,
        reached: share,
        least: LEAST_SHARE,
        unit: '× plain jobs',
        met: share >= LEAST_SHARE,
      })),
};
