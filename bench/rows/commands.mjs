// What is asked of Redis for one task and for one step of a chain: every command, by name, as MONITOR sees it. Those that
// scripts call are counted apart.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { chain } from '@umbel/canvas';
import { Redis } from 'ioredis';
import { startRedis } from '../run/redis-server.mjs';
import * as bullmq from '../systems/bullmq.mjs';
import * as umbel from '../systems/umbel.mjs';

const TIMES = 50;
const STEPS = 50;
/** Commands of the connections themselves, and of waiting for the next job. */
const NOT_COUNTED = new Set(['client', 'info', 'hello', 'select', 'monitor', 'ping', 'command', 'memory']);

const systems = {
  async umbel(url) {
    const own = umbel.open(url);
    await own.start();
    return {
      task: () => own.noop.delay({ a: 1 }),
      waited: async () => (await own.noop.delay({ a: 1 })).get(),
      chain: async (steps) => {
        const all = Array.from({ length: steps }, (_, n) =>
          n === 0 ? own.increment.s({ n: 0 }) : own.increment,
        );
        await (await chain(...all).delay()).get();
      },
      close: () => own.close(),
    };
  },
  async bullmq(url) {
    const own = bullmq.open(url);
    await own.start();
    const flows = await own.flows();
    return {
      task: () => own.queue.add('noop', { a: 1 }),
      waited: () => flows.run({ name: 'noop', queueName: own.name, data: { a: 1 } }),
      chain: (steps) => flows.run(bullmq.chainOf(own.name, steps)),
      close: () => own.close(),
    };
  },
};

/** What Umbel puts before the text of scripts that move jobs. */
const FLAGS = '#!lua flags=allow-cross-slot-keys\n';

/** The names of BullMQ's scripts by the digests that Redis knows them by. */
async function scriptNames(url) {
  const own = bullmq.open(url);
  const { scriptsSet } = await own.queue.getBackend().connection.client;
  const digest = (text) => createHash('sha1').update(text).digest('hex');
  const names = Object.entries(scriptsSet).flatMap(([name, { lua }]) => {
    const short = name.replace(/:.*/, '');
    return [digest(lua), digest(FLAGS + lua)].map((sha) => [sha, short]);
  });
  await own.close();
  return new Map(names);
}

/** Counts what Redis is asked while something is done. */
class Monitor {
  #counts = new Map();
  #scripts;
  #monitor;

  static async of(url) {
    const monitor = new Monitor();
    monitor.#scripts = await scriptNames(url);
    const redis = new Redis(url);
    monitor.#monitor = await redis.monitor();
    redis.disconnect();
    monitor.#monitor.on('monitor', (_time, args, source) => monitor.#note(args, source));
    return monitor;
  }

  #note([given, ...args], source) {
    const isInScript = source === 'lua';
    const name = given.toLowerCase();
    if (NOT_COUNTED.has(name)) return;
    const script = name === 'evalsha' ? (this.#scripts.get(args[0]) ?? args[0]) : undefined;
    const key = isInScript ? 'called by scripts' : script === undefined ? name : `script: ${script}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  async during(units, run) {
    await sleep(300); // what was before has arrived
    this.#counts.clear();
    await run();
    await sleep(300);
    const perUnit = [...this.#counts].map(([key, count]) => [key, count / units]);
    return Object.fromEntries(perUnit.filter(([, count]) => count >= 0.02).sort(([, a], [, b]) => b - a));
  }

  close() {
    this.#monitor.disconnect();
  }
}

export const row = {
  title: 'what Redis is asked, for one task and one step of a chain',
  async measure({ say }) {
    const told = {};
    for (const [name, open] of Object.entries(systems)) {
      say(`commands: ${name}`);
      const redis = await startRedis({ durable: false });
      const client = new Redis(redis.url);
      const monitor = await Monitor.of(redis.url);
      const own = await open(redis.url);
      try {
        await own.waited(); // connects, and sends the texts of the scripts
        await own.chain(3);
        const bytes = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
        const task = await monitor.during(TIMES, async () => {
          for (let time = 0; time < TIMES; time += 1) {
            await own.task();
            await sleep(5); // each by itself
          }
        });
        const waited = await monitor.during(TIMES, async () => {
          for (let time = 0; time < TIMES; time += 1) await own.waited();
        });
        const before = await bytes();
        const step = await monitor.during(STEPS, () => own.chain(STEPS));
        told[name] = {
          task,
          'task whose result is waited for': waited,
          step,
          bytesPerStep: ((await bytes()) - before) / STEPS,
        };
      } finally {
        await own.close();
        monitor.close();
        client.disconnect();
        await redis.stop();
      }
    }
    return told;
  },
  lines: (told) =>
    ['task', 'task whose result is waited for', 'step'].flatMap((kind) =>
      Object.entries(told).flatMap(([system, { [kind]: counts }]) => {
        const { 'called by scripts': inner = 0, ...outer } = counts;
        const sum = Object.values(outer).reduce((total, count) => total + count, 0);
        return [
          `${kind}, ${system}: ${sum.toFixed(2)} round trips, ${inner.toFixed(1)} commands in scripts`,
          ...Object.entries(outer).map(([name, count]) => `    ${count.toFixed(2)}  ${name}`),
        ];
      }),
    ),
};
