// How the cost of a task grows: with worker processes, queues, members of a group, steps of a chain, and what has ended
// before. Processor time of the processes and of Redis, per task.
import { writeFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { inFlight } from '../run/in-flight.mjs';
import { Peer } from '../run/peer.mjs';
import { growthPlot } from '../run/plot.mjs';
import { startRedis } from '../run/redis-server.mjs';

const LIMIT_MS = 300_000;
const WIDTH = 100;

/** Tasks that are run before, so that the programs are warm at every point alike. */
const WARM = { full: 5000, quick: 500 };

/** What is varied, over which values, and how many tasks are run at each. */
const SERIES = {
  workers: { label: 'worker processes', at: [1, 2, 3, 4], quick: [1, 2], tasks: () => 12_000 },
  queues: { label: 'queues', at: [1, 10, 100], quick: [1, 10], tasks: () => 6000 },
  members: {
    label: 'members of a group',
    at: [10, 100, 1000, 10_000, 100_000],
    quick: [10, 100, 1000],
    tasks: (count) => Math.max(5000, count),
  },
  steps: {
    label: 'steps of a chain',
    at: [10, 100, 1000, 10_000],
    quick: [10, 100],
    tasks: (count) => Math.max(3000, count),
  },
  history: {
    label: 'jobs that have ended',
    at: [0, 1000, 10_000, 100_000],
    quick: [0, 1000],
    tasks: () => 4000,
  },
};

const systems = {
  async send({ adapter, url, tasks }) {
    const own = adapter.open(url, { name: 'growth' });
    await inFlight(tasks, WIDTH, () => own.noop.delay({ a: 1 }));
    await own.close();
    return {};
  },
  /** One of several workers: each answers once the queue is empty, and has measured the second half. */
  async worker({ adapter, url, tasks, phase }) {
    const own = adapter.open(url, { name: 'growth' });
    const queue = own.app.queue('default');
    const ran = async (count) => {
      while ((await queue.counts()).completed < count)
        await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await own.start();
    await ran(tasks);
    await phase('run', async () => {
      await ran(2 * tasks);
      return () => own.close();
    });
  },
  async queues({ adapter, url, at, tasks, phase }) {
    const own = adapter.open(url);
    let left = tasks;
    let done;
    const ran = new Promise((resolve) => {
      done = resolve;
    });
    const all = Array.from({ length: at }, (_, index) =>
      own.app.task({
        name: `task-${index}`,
        queue: `queue-${index}`,
        run: async () => {
          left -= 1;
          if (left === 0) done();
        },
      }),
    );
    await own.start();
    await phase('run', async () => {
      await inFlight(tasks, WIDTH, (index) => all[index % at].delay());
      await ran;
    });
    await own.close();
  },
  async members({ adapter, url, at, tasks, phase }) {
    const { chord, group } = await import('@umbel/canvas');
    const own = adapter.open(url);
    await own.start();
    async function* members() {
      for (let n = 0; n < at; n += 1) yield own.one.si(n);
    }
    await phase('run', async () => {
      for (let time = 0; time < tasks / at; time += 1) {
        const listed = at <= 10_000 ? Array.from({ length: at }, (_, n) => own.one.si(n)) : group(members());
        await (await chord(listed, own.sum).delay()).get();
      }
    });
    await own.close();
  },
  async steps({ adapter, url, at, tasks, phase }) {
    const { chain } = await import('@umbel/canvas');
    const own = adapter.open(url);
    await own.start();
    await phase('run', async () => {
      for (let time = 0; time < tasks / at; time += 1) {
        const all = Array.from({ length: at }, (_, n) =>
          n === 0 ? own.increment.s({ n: 0 }) : own.increment,
        );
        await (await chain(...all).delay()).get();
      }
    });
    await own.close();
  },
  async history({ adapter, url, at, tasks, phase }) {
    const own = adapter.open(url);
    await own.start();
    const run = async (count) => {
      if (count === 0) return;
      const ran = own.noops(count);
      await inFlight(count, WIDTH, () => own.noop.delay({ a: 1 }));
      await ran;
    };
    await run(at);
    await phase('run', () => run(tasks));
    await own.close();
  },
};

async function point(series, at, tasks, warm) {
  const redis = await startRedis({ durable: false });
  const peers = [];
  const peer = (system) => {
    const args = ['run/child.mjs', 'growth', system, redis.url];
    const started = new Peer({ command: process.execPath, args });
    peers.push(started);
    return started;
  };
  const client = new Redis(redis.url);
  try {
    if (series !== 'workers') {
      const one = peer(series);
      await one.ask({ at: Math.min(at, 100), tasks: warm }, LIMIT_MS);
      await client.flushall();
      const { phases } = await one.ask({ at, tasks }, LIMIT_MS);
      return costs([phases.run], tasks);
    }
    await peer('send').ask({ tasks: 2 * tasks }, LIMIT_MS);
    const told = await Promise.all(Array.from({ length: at }, () => peer('worker').ask({ tasks }, LIMIT_MS)));
    return costs(
      told.map(({ phases }) => phases.run),
      tasks,
    );
  } finally {
    for (const each of peers) await each.stop();
    client.disconnect();
    await redis.stop();
  }
}

function costs(phases, tasks) {
  const us = (ms) => (ms * 1000) / tasks;
  const most = (field) => Math.max(...phases.map((phase) => phase[field]));
  return {
    node: us(phases.reduce((sum, { cpuMs }) => sum + cpuMs, 0)),
    redis: us(most('redisMs')), // the whole server's, as each of them saw it
    wall: us(most('ms')),
  };
}

export const row = {
  title: 'cost of a task as things grow, µs of processor time',
  adapter: 'umbel',
  systems,
  async measure({ quick, plot, say }) {
    const told = {};
    for (const [series, { at: all, quick: few, tasks }] of Object.entries(SERIES)) {
      told[series] = [];
      for (const at of quick ? few : all) {
        say(`growth: ${at} ${SERIES[series].label}`);
        const count = quick ? Math.min(tasks(at), Math.max(at, 1000)) : tasks(at);
        const warm = quick ? WARM.quick : WARM.full;
        told[series].push({ at, ...(await point(series, at, count, warm)) });
        say(JSON.stringify(told[series].at(-1)));
      }
    }
    if (plot !== undefined) {
      const panels = Object.entries(told).map(([series, points]) => ({
        title: SERIES[series].label,
        points,
      }));
      writeFileSync(plot, growthPlot('Processor time of a task, µs', panels));
    }
    return told;
  },
  lines: (told) =>
    Object.entries(told).flatMap(([series, points]) =>
      points.map(({ at, node, redis, wall }) => {
        const cells = [
          `${Math.round(node)} µs of Node`,
          `${Math.round(redis)} µs of Redis`,
          `${Math.round(wall)} µs passed`,
        ];
        return `${at.toLocaleString('en').padStart(8)} ${SERIES[series].label.padEnd(22)} ${cells.map((cell) => cell.padStart(16)).join('  ')}`;
      }),
    ),
};
