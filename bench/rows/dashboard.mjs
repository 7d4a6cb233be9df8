// The dashboard beside load: how long its answers take with a queue of very many jobs and a run of ten thousand, and what
// fifty open pages cost the store while nothing changes. Pages are stood for by what they do: they listen, and read again
// what they show when the server says so.
import { setTimeout as sleep } from 'node:timers/promises';
import { chain, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { dashboard } from '../../packages/dashboard/dist/index.js';
import { Meter } from '../run/meter.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { quantile } from '../run/statistics.mjs';

const WAITING = { quick: 200_000, full: 1_000_000 };
const MEMBERS = 10_000;
const CALLS = { quick: 15, full: 40 };
const TABS = 50;
/** Two of the intervals in which pages read again without a change. */
const REST_MS = 31_000;
const BATCH = 5000;
/** Most time of an answer, at the 95th percentile. */
const ALLOWED_MS = 200;
/** Most commands a second of fifty pages at rest. */
const ALLOWED_COMMANDS = 10;

const silent = { info() {}, warn() {}, error() {} };
const address = (path) => new Request(`http://localhost/api${path}`);
const options = { authorize: () => ({ name: 'bench' }), onAction() {} };

async function read(served, path) {
  const response = await served.fetch(address(path));
  const body = await response.json();
  if (response.status !== 200) throw new Error(`${path}: ${JSON.stringify(body)}`);
  return body;
}

/** Sends jobs and runs them, one after the other, until `signal` is aborted. */
async function load(task, signal) {
  while (!signal.aborted)
    await Promise.all(Array.from({ length: 20 }, async () => (await task.delay()).get()));
}

/** Durations of a read in milliseconds. Each dashboard is new, so nothing is answered from what was read before. */
async function timesOf(app, path, calls) {
  const times = [];
  for (let call = 0; call < calls; call += 1) {
    const served = dashboard(app, options);
    const startedAt = performance.now();
    await read(served, path);
    times.push(performance.now() - startedAt);
    await sleep(20);
  }
  return { median: quantile(times, 0.5), p95: quantile(times, 0.95) };
}

/** Commands a second while so many pages are open and nothing changes. */
async function atRest(app, redis, tabs, runId) {
  const served = dashboard(app, options);
  const meter = new Meter(redis.url);
  const pages = ['/conditions', '/list/jobs', '/list/runs', '/queues', `/runs/${runId}`, '/dead-letters'];
  const isOpen = { current: true };
  const follow = async (index) => {
    const shown = ['/app', '/counts', pages[index % pages.length]];
    const { body } = await served.fetch(address('/changes'));
    for await (const chunk of body) {
      if (!isOpen.current) break;
      if (new TextDecoder().decode(chunk).includes('data:'))
        await Promise.all(shown.map((path) => read(served, path)));
    }
  };
  const ends = Array.from({ length: tabs }, (_, index) => follow(index));
  await sleep(1000);
  await meter.phase('rest', () => sleep(REST_MS));
  isOpen.current = false;
  served.close();
  await Promise.all(ends);
  const { rest } = meter.take().phases;
  meter.close();
  const commands = Object.entries(rest.commands).reduce(
    (sum, [name, calls]) => sum + (/^(?:config|client|ping)/.test(name) ? 0 : calls),
    0,
  );
  return { commands: (1000 * commands) / rest.ms, cpu: (100 * rest.cpuMs) / rest.ms };
}

export const row = {
  title: 'the dashboard: answers beside load, and open pages at rest',
  async measure({ quick, say }) {
    const size = quick ? 'quick' : 'full';
    const redis = await startRedis({ durable: false });
    const app = createApp({
      name: 'dashboard',
      connection: redis.url,
      logger: silent,
      limits: { groupMembers: MEMBERS },
    });
    try {
      const step = app.task({ name: 'step', queue: 'steps', run: () => null });
      const end = app.task({ name: 'end', queue: 'steps', run: () => null });
      const waiting = app.task({ name: 'waiting', queue: 'waiting', run: () => null });
      const plain = app.task({ name: 'plain', queue: 'plain', run: () => null });
      const worker = app.worker({ queues: ['steps', 'plain'], concurrency: 50 });
      await worker.start();
      for (let sent = 0; sent < WAITING[size]; sent += BATCH)
        await waiting.sendMany(Array.from({ length: BATCH }), { tags: ['many'] });
      say(`dashboard: ${WAITING[size]} jobs wait`);
      const run = await chain(group(Array.from({ length: MEMBERS }, () => step.si())), end.si()).delay();
      await run.get();
      say(`dashboard: a run of ${MEMBERS} jobs has ended`);
      const node = `${run.id}.0-0.*`;
      const paths = {
        'list of jobs': '/list/jobs',
        'list of waiting jobs': '/list/jobs?q=state%3Awaiting',
        'jobs of a task that do not match': '/list/jobs?q=task%3Awaiting%20nothing',
        'list of runs': '/list/runs',
        'run of 10,000 jobs': `/runs/${run.id}`,
        'members of its node': `/runs/${run.id}/members?node=${encodeURIComponent(node)}&task=step`,
        queues: '/queues',
      };
      const stop = new AbortController();
      const loaded = load(plain, stop.signal);
      const answers = {};
      for (const [name, path] of Object.entries(paths)) {
        answers[name] = await timesOf(app, path, CALLS[size]);
        say(`dashboard: ${name}: ${JSON.stringify(answers[name])}`);
      }
      stop.abort();
      await loaded;
      await worker.close();
      const rest = {};
      for (const tabs of [0, TABS]) {
        rest[tabs] = await atRest(app, redis, tabs, run.id);
        say(`dashboard: ${tabs} pages at rest: ${JSON.stringify(rest[tabs])}`);
      }
      return { waiting: WAITING[size], answers, rest };
    } finally {
      await app.close();
      await redis.stop();
    }
  },
  lines({ waiting, answers, rest }) {
    return [
      `${waiting} waiting jobs and a run of ${MEMBERS}, beside load`,
      ...Object.entries(answers).map(
        ([name, { median, p95 }]) => `${name}: ${median.toFixed(0)} ms, 95 % within ${p95.toFixed(0)} ms`,
      ),
      ...Object.entries(rest).map(
        ([tabs, { commands, cpu }]) =>
          `${tabs} open pages at rest: ${commands.toFixed(1)} commands a second, ${cpu.toFixed(1)} % of a core`,
      ),
    ];
  },
  judge({ answers, rest }) {
    const limit = (what, reached, most, unit) => ({ what, reached, most, unit, met: reached <= most });
    return [
      ...Object.entries(answers).map(([name, { p95 }]) => limit(name, p95, ALLOWED_MS, 'ms')),
      limit(`${TABS} pages at rest, commands a second`, rest[TABS].commands, ALLOWED_COMMANDS, ''),
    ];
  },
};
