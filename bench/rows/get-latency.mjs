// How long one call takes over a network until its result is there, and how many are waited for in a second: sent and
// waited for one after the other, and from several places at once. Connections are open before.
import { delayedNetwork } from '../run/delayed-network.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { summary } from '../run/statistics.mjs';
import * as bullmq from '../systems/bullmq.mjs';
import * as umbel from '../systems/umbel.mjs';

const DELAY_MS = 2;
/** Waits at once where throughput is measured. */
const AT_ONCE = 100;
const LATENCY_TIMES = 1.1;
const THROUGHPUT_SHARE = 0.9;

/** Each gives `call`, which sends one call and resolves with its result. */
const systems = {
  async umbel(url) {
    const own = umbel.open(url);
    await own.start();
    return { call: async () => (await own.noop.delay({ a: 1 })).get(), close: () => own.close() };
  },
  async bullmq(url) {
    const own = bullmq.open(url);
    await own.start();
    const flows = await own.flows();
    const call = () => own.queue.add('noop', { a: 1 }).then((job) => job.waitUntilFinished(flows.events));
    return { call, close: () => own.close() };
  },
};

/** Milliseconds of each call, one after the other. */
async function latencies(call, count) {
  const times = [];
  for (let done = 0; done < count; done += 1) {
    const startedAt = performance.now();
    await call();
    times.push(performance.now() - startedAt);
  }
  return times;
}

/** Calls that are sent and waited for in a second. */
async function throughput(call, count) {
  let left = count;
  const loop = async () => {
    while (left > 0) {
      left -= 1;
      await call();
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
  return (count * 1000) / (performance.now() - startedAt);
}

/** Figures of all systems, in rounds in turn. */
async function compare(url, rounds, measure) {
  const opened = {};
  for (const [name, open] of Object.entries(systems)) {
    opened[name] = await open(url);
    await latencies(opened[name].call, 20); // connects, sends scripts and compiles
  }
  const told = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, { call }] of Object.entries(opened)) {
      told[name] ??= [];
      told[name].push(...[await measure(call)].flat());
    }
  }
  for (const { close } of Object.values(opened)) await close();
  return Object.fromEntries(Object.entries(told).map(([name, values]) => [name, summary(values)]));
}

export const row = {
  title: `a call and its result over a network of ${DELAY_MS} ms each way, and without one`,
  async measure({ quick }) {
    const redis = await startRedis({ durable: false });
    const network = await delayedNetwork(redis.url, DELAY_MS);
    const [rounds, calls, many] = quick ? [3, 20, 2000] : [7, 50, 5000];
    try {
      const latency = await compare(network.url, rounds, (call) => latencies(call, calls));
      const perSecond = await compare(redis.url, rounds, (call) => throughput(call, many));
      return { latency, perSecond };
    } finally {
      await network.stop();
      await redis.stop();
    }
  },
  lines: ({ latency, perSecond }) =>
    Object.keys(systems).map(
      (name) =>
        `${name}: ${latency[name].median.toFixed(1)} ms a call over the network ` +
        `(${latency[name].low.toFixed(1)}–${latency[name].high.toFixed(1)}); ` +
        `${Math.round(perSecond[name].median)} calls a second, ${AT_ONCE} at once`,
    ),
  judge({ latency, perSecond }) {
    const slower = latency.umbel.median / latency.bullmq.median;
    const share = perSecond.umbel.median / perSecond.bullmq.median;
    return [
      { what: 'latency over a network', reached: slower, most: LATENCY_TIMES, met: slower <= LATENCY_TIMES },
      { what: 'calls a second', reached: share, least: THROUGHPUT_SHARE, met: share >= THROUGHPUT_SHARE },
    ].map((limit) => ({ ...limit, unit: '× BullMQ' }));
  },
};
