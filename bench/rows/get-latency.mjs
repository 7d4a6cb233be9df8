// How long one call takes over a network until its result is there, and how many are waited for in a second, from several
// places at once. Connections are open before.
//
// Calls are sent at moments that have nothing to do with the result before. Without a pause, the worker of BullMQ often
// asks for a job just as the next call arrives, since its marker has woken it in vain: a rhythm that only a loop has.
// That figure is printed too.
import { setTimeout as sleep } from 'node:timers/promises';
import { delayedNetwork } from '../run/delayed-network.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { pairedRatio, summary } from '../run/statistics.mjs';
import * as bullmq from '../systems/bullmq.mjs';
import * as umbel from '../systems/umbel.mjs';

const DELAY_MS = 2;
/** Waits at once where throughput is measured. */
const AT_ONCE = 500;
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
    const { events } = await own.flows();
    events.setMaxListeners(0);
    own.queue.setMaxListeners(0);
    const call = () => own.queue.add('noop', { a: 1 }).then((job) => job.waitUntilFinished(events));
    return { call, close: () => own.close() };
  },
};

/** The median of the milliseconds of each call, one after the other, with or without a pause of random length. */
async function latency(call, count, hasPauses) {
  const times = [];
  for (let done = 0; done < count; done += 1) {
    if (hasPauses) await sleep((5 + 10 * Math.random()) * DELAY_MS);
    const startedAt = performance.now();
    await call();
    times.push(performance.now() - startedAt);
  }
  return summary(times).median;
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

/** The figures of each system, and the ratio of BullMQ's to Umbel's by round, in short rounds in turn. */
async function compare(url, rounds, measure) {
  const opened = {};
  for (const [name, open] of Object.entries(systems)) {
    opened[name] = await open(url);
    await measure(opened[name].call); // connects, sends scripts and compiles
  }
  const told = { umbel: [], bullmq: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const name of Object.keys(told)) told[name].push(await measure(opened[name].call));
  }
  for (const { close } of Object.values(opened)) await close();
  const { umbel, bullmq } = told;
  return { umbel: summary(umbel), bullmq: summary(bullmq), ratio: pairedRatio(bullmq, umbel).median };
}

export const row = {
  title: `a call and its result over a network of ${DELAY_MS} ms each way, and without one`,
  async measure({ quick }) {
    const redis = await startRedis({ durable: false });
    const far = await delayedNetwork(redis.url, DELAY_MS);
    const [rounds, calls, many] = quick ? [5, 10, 1000] : [15, 10, 3000];
    try {
      const network = await compare(far.url, rounds, (call) => latency(call, calls, true));
      const inLoop = await compare(far.url, rounds, (call) => latency(call, calls, false));
      const perSecond = await compare(redis.url, rounds, (call) => throughput(call, many));
      return { network, inLoop, perSecond };
    } finally {
      await far.stop();
      await redis.stop();
    }
  },
  lines: ({ network, inLoop, perSecond }) =>
    Object.keys(systems).map(
      (name) =>
        `${name}: ${network[name].median.toFixed(1)} ms a call over the network ` +
        `(${network[name].low.toFixed(1)}–${network[name].high.toFixed(1)}), ` +
        `${inLoop[name].median.toFixed(1)} without pauses; ` +
        `${Math.round(perSecond[name].median)} calls a second, ${AT_ONCE} at once`,
    ),
  judge({ network, perSecond }) {
    const slower = 1 / network.ratio;
    const share = 1 / perSecond.ratio;
    return [
      { what: 'latency over a network', reached: slower, most: LATENCY_TIMES, met: slower <= LATENCY_TIMES },
      { what: 'calls a second', reached: share, least: THROUGHPUT_SHARE, met: share >= THROUGHPUT_SHARE },
    ].map((limit) => ({ ...limit, unit: '× BullMQ' }));
  },
};
