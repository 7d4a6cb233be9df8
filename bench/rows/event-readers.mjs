// One reader of an app's events, and many in the same process: how long until all have seen everything, what the store
// and the process do for them, and what they cost while nothing happens. What a reader costs beyond the first one is handing
// events over in this process; Node's own way to do that, `events.on`, shows what is to be expected of it.
import { EventEmitter, on } from 'node:events';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { createApp } from '@umbel/core';
import { Meter } from '../run/meter.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { quantile } from '../run/statistics.mjs';

const MANY = 200;
const JOBS = { quick: 300, full: 2000 };
const ROUNDS = { quick: 1, full: 3 };
const REST_MS = { quick: 2000, full: 5000 };
/** Events of a job without retries: enqueued, started, completed. */
const EVENTS_OF_JOB = 3;
/** Most commands for many readers, beside those for one. */
const ALLOWED_COMMANDS = 1.1;
/** Most processor time for an event and reader, beside `events.on`: there all readers get the same object, here a copy each. */
const ALLOWED_TIMES = 3;
/** Events that `events.on` hands over in one turn of the event loop. */
const EMITTED = 50;
/** Most connections that many readers have more than none. */
const ALLOWED_CONNECTIONS = 1;

const silent = { info() {}, warn() {}, error() {} };
const commandsOf = ({ commands }) =>
  Object.entries(commands).reduce(
    (sum, [name, calls]) => sum + (/^(config|client|ping)/.test(name) ? 0 : calls),
    0,
  );

/** Jobs that are sent and run while so many readers follow them. */
async function measure(redis, readers, jobs, restMs) {
  const app = createApp({ name: `readers-${readers}`, connection: redis.url, logger: silent });
  const sending = createApp({ name: `readers-${readers}`, connection: redis.url, logger: silent });
  const meter = new Meter(redis.url);
  try {
    const task = sending.task({ name: 'task', run: () => null });
    app.task({ name: 'task', run: () => null });
    const worker = sending.worker({ concurrency: 50, heartbeat: false });
    await worker.start();
    await (await task.delay()).get();
    const connections = async () => (await meter.redis.client('LIST')).split('\n').filter(Boolean).length;
    await app.queue('default').counts();
    const before = await connections();
    let seen = 0;
    let allSeen = () => {};
    const all = new Promise((resolve) => {
      allSeen = resolve;
    });
    const ends = Array.from({ length: readers }, async () => {
      let ended = 0;
      for await (const { type } of app.events()) {
        if (type === 'completed') ended += 1;
        if (ended < jobs) continue;
        seen += 1;
        if (seen === readers) allSeen();
        ended = Number.NEGATIVE_INFINITY;
      }
    });
    await sleep(500); // until they wait
    const opened = (await connections()) - before;
    await meter.phase('all', async () => {
      await task.sendMany(Array.from({ length: jobs }));
      await all;
    });
    await worker.close();
    await sleep(500);
    await meter.phase('rest', () => sleep(restMs));
    const { all: busy, rest } = meter.take().phases;
    await app.close();
    await Promise.all(ends);
    return {
      ms: busy.ms,
      cpuMs: busy.cpuMs,
      commands: commandsOf(busy),
      connections: opened,
      restCpu: (100 * rest.cpuMs) / rest.ms,
      restCommands: (1000 * commandsOf(rest)) / rest.ms,
    };
  } finally {
    meter.close();
    await app.close();
    await sending.close();
  }
}

/** Processor time of `events.on` for an event and reader, in microseconds. */
async function plainDelivery(readers, events) {
  const emitter = new EventEmitter();
  emitter.setMaxListeners(0);
  const ends = Array.from({ length: readers }, async () => {
    let seen = 0;
    for await (const [{ type }] of on(emitter, 'event')) {
      if (type === 'completed') seen += 1;
      if (seen === events) break;
    }
  });
  await turn();
  const before = process.cpuUsage();
  for (let sent = 0; sent < events; sent += 1) {
    emitter.emit('event', {
      type: 'completed',
      id: `${sent}`,
      task: 'task',
      queue: 'default',
      at: new Date(),
    });
    if (sent % EMITTED === EMITTED - 1) await turn();
  }
  await Promise.all(ends);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / readers / events;
}

export const row = {
  title: 'readers of the events of an app in one process',
  async measure({ quick, say }) {
    const size = quick ? 'quick' : 'full';
    const rounds = { 1: [], [MANY]: [] };
    const events = JOBS[size] * EVENTS_OF_JOB;
    const plain = [];
    for (let round = 0; round < ROUNDS[size]; round += 1) {
      for (const readers of [1, MANY]) {
        const redis = await startRedis({ durable: false });
        try {
          const figures = await measure(redis, readers, JOBS[size], REST_MS[size]);
          say(`event-readers: ${readers}: ${JSON.stringify(figures)}`);
          rounds[readers].push(figures);
        } finally {
          await redis.stop();
        }
      }
      plain.push(await plainDelivery(MANY, events));
    }
    const median = (all) =>
      Object.fromEntries(
        Object.keys(all[0]).map((key) => [
          key,
          quantile(
            all.map((one) => one[key]),
            0.5,
          ),
        ]),
      );
    const ratio = (key) =>
      quantile(
        rounds[MANY].map((many, round) => many[key] / rounds[1][round][key]),
        0.5,
      );
    const delivery = rounds[MANY].map(
      ({ cpuMs }, round) => (1000 * (cpuMs - rounds[1][round].cpuMs)) / (MANY - 1) / events,
    );
    return {
      jobs: JOBS[size],
      readers: { 1: median(rounds[1]), [MANY]: median(rounds[MANY]) },
      times: { ms: ratio('ms'), cpuMs: ratio('cpuMs'), commands: ratio('commands') },
      delivery: {
        us: quantile(delivery, 0.5),
        plainUs: quantile(plain, 0.5),
        times: quantile(
          delivery.map((us, round) => us / plain[round]),
          0.5,
        ),
      },
    };
  },
  lines({ jobs, readers, times, delivery }) {
    return [
      ...Object.entries(readers).map(
        ([count, { ms, cpuMs, commands, connections, restCpu, restCommands }]) =>
          `${count} readers, ${jobs} jobs: all seen by all in ${Math.round(ms)} ms, ${Math.round(cpuMs)} ms of processor, ` +
          `${Math.round(commands)} commands; ${connections} connections; ` +
          `at rest ${restCpu.toFixed(1)} % of a core, ${restCommands.toFixed(1)} commands a second`,
      ),
      `${MANY} readers beside one: ${times.ms.toFixed(2)} × the time, ${times.cpuMs.toFixed(2)} × the processor time`,
      `an event for one more reader: ${delivery.us.toFixed(2)} µs; by events.on: ${delivery.plainUs.toFixed(2)} µs`,
    ];
  },
  judge({ readers, times, delivery }) {
    const [one, many] = [readers[1], readers[MANY]];
    const limit = (what, reached, most, unit) => ({ what, reached, most, unit, met: reached <= most });
    return [
      limit(`commands for ${MANY} readers, beside those for one`, times.commands, ALLOWED_COMMANDS, '×'),
      limit('an event for one more reader, beside events.on', delivery.times, ALLOWED_TIMES, '×'),
      limit(`connections of ${MANY} readers`, many.connections, ALLOWED_CONNECTIONS, ''),
      limit(`${MANY} readers at rest, of a core`, many.restCpu, one.restCpu + 1, '%'),
      limit(`${MANY} readers at rest, commands a second`, many.restCommands, one.restCommands + 1, ''),
    ];
  },
};
