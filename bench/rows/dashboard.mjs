// The dashboard beside load: how long its answers take with a queue of very many jobs and a run of ten thousand, how long the
// browser is blocked by the page of that run, and what fifty open pages cost the store while nothing changes. In place of
// pages, this row does what they do: it listens, and reads again what they show when the server says so. The load is another
// process, as workers are. It sends and runs calls at a steady rate, which leaves time on a machine with two cores: how long
// an answer takes on a machine without time to spare depends on that machine alone. The row says how much the load takes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { chain, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { dashboard } from '../../packages/dashboard/dist/index.js';
import { longTasksOf } from '../run/long-tasks.mjs';
import { Meter } from '../run/meter.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { longestCommand } from '../run/slow-log.mjs';
import { quantile } from '../run/statistics.mjs';

const WAITING = { quick: 200_000, full: 1_000_000 };
const MEMBERS = 10_000;
const CALLS = { quick: 15, full: 40 };
const TABS = 50;
/** Two of the minutes after which pages read again without a change. */
const REST_MS = 121_000;
const BATCH = 5000;
/** Calls a second of the load. */
const RATE = 300;
/** Most time of an answer, at the 95th percentile. */
const ALLOWED_MS = 200;
/** Most time for which the browser is blocked at once. */
const BLOCKED_MS = 200;
/** Most commands a second that are sent for fifty pages at rest. */
const ALLOWED_COMMANDS = 10;
/** Most time of a command of the store. */
const ALLOWED_COMMAND_MS = 10;
/** Reads of an answer for its longest command: of the longest ones of each read, the shortest, since Redis may have to wait. */
const READS = 5;
/** Number of jobs that a search reads of a text that no job has: the page reads answer after answer. */
const SEARCHED = 5000;

const silent = { info() {}, warn() {}, error() {} };
const address = (path) => new Request(`http://localhost/api${path}`);
const options = { authorize: () => ({ name: 'bench' }), onAction() {} };

async function read(served, path) {
  const response = await served.fetch(address(path));
  const body = await response.json();
  if (response.status !== 200) throw new Error(`${path}: ${JSON.stringify(body)}`);
  return body;
}

/** Starts the other process: a worker of the steps, with a rate also a sender. Returns what ends it. */
async function startLoad(url, rate = 0) {
  const program = new URL('../run/dashboard-load.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, url, `${rate}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  const failed = once(child, 'exit').then(() => Promise.reject(new Error('the load does not start')));
  await Promise.race([once(child.stdout, 'data'), failed]);
  failed.catch(() => {}); // it ends below
  return async () => {
    child.kill();
    await once(child, 'exit');
  };
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

/** The longest command of any answer, without load, and the answer that sends it. */
async function longestOf(client, app, paths) {
  let longest = { ms: 0 };
  for (const [name, path] of Object.entries(paths)) {
    const times = [];
    for (let count = 0; count < READS; count += 1)
      times.push(await longestCommand(client, () => read(dashboard(app, options), path)));
    const ms = Math.min(...times);
    if (ms > longest.ms) longest = { ms, name };
  }
  return longest;
}

/** Reads a search answer by answer, as the page does. */
async function searchTime(app, path) {
  const served = dashboard(app, options);
  const startedAt = performance.now();
  let searched = 0;
  for (let cursor = ''; cursor !== undefined && searched < SEARCHED; ) {
    const answer = await read(served, `${path}&cursor=${encodeURIComponent(cursor)}`);
    searched += answer.read;
    cursor = answer.cursor;
  }
  return performance.now() - startedAt;
}

/** The share of the machine that the load takes, in cores: all processes while this one waits. */
async function loadOfMachine() {
  const busy = () =>
    cpus().reduce((sum, { times: { user, sys, nice, irq } }) => sum + user + sys + nice + irq, 0);
  const [before, startedAt] = [busy(), performance.now()];
  await sleep(3000);
  return (busy() - before) / (performance.now() - startedAt);
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
  const counting = await countCommands(redis.url);
  const { counts } = counting;
  await meter.phase('rest', () => sleep(tabs === 0 ? REST_MS / 10 : REST_MS));
  counting.close();
  isOpen.current = false;
  served.close();
  await Promise.all(ends);
  const { rest } = meter.take().phases;
  meter.close();
  const perSecond = (count) => (1000 * count) / rest.ms;
  return {
    sent: perSecond(counts.sent),
    commands: perSecond(counts.sent + counts.inScripts),
    cpu: (100 * rest.redisMs) / rest.ms,
  };
}

/** Counts the commands that a Redis receives, and those that its scripts run. */
async function countCommands(url) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  const counts = { sent: 0, inScripts: 0 };
  const lines = createInterface({ input: socket });
  lines.on('line', (line) => {
    const [, source, name] = /^\+[\d.]+ \[\d+ (\S+)\] "(\w+)"/.exec(line) ?? [];
    if (source === 'lua') counts.inScripts += 1;
    else if (name !== undefined && !/^(?:info|config|client|ping)$/i.test(name)) counts.sent += 1;
  });
  socket.write('MONITOR\r\n');
  await once(lines, 'line'); // OK
  return { counts, close: () => socket.destroy() };
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
      searchIndex: true,
    });
    const client = new Redis(redis.url);
    const ends = [];
    try {
      const step = app.task({ name: 'step', queue: 'steps', run: () => null });
      const end = app.task({ name: 'end', queue: 'steps', run: () => null });
      const waiting = app.task({ name: 'waiting', queue: 'waiting', run: () => null });
      const rare = app.task({ name: 'mail.rare', queue: 'waiting', run: () => null });
      app.task({ name: 'plain', queue: 'plain', run: () => null });
      ends.push(await startLoad(redis.url));
      await rare.sendMany(Array.from({ length: 60 }));
      const [oldest] = await waiting.sendMany([undefined]);
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
        'jobs of a rare task, by index': '/list/jobs?q=task%3Amail.*',
        'jobs of an error, by index': '/list/jobs?q=error%3ANone',
        'a text that no job has': '/list/jobs?q=nothing',
        'list of runs': '/list/runs',
        'run of 10,000 jobs': `/runs/${run.id}`,
        'members of its node': `/runs/${run.id}/members?node=${encodeURIComponent(node)}&task=step`,
        'job that waits': `/jobs/${oldest.id}`,
        queues: '/queues',
      };
      ends.push(await startLoad(redis.url, RATE));
      const load = await loadOfMachine();
      say(`dashboard: the load of ${RATE} calls a second takes ${load.toFixed(2)} cores`);
      const movedFrom = performance.now();
      await read(dashboard(app, options), paths['jobs of a rare task, by index']); // moves what waits for the index
      say(`dashboard: the first search took ${(performance.now() - movedFrom).toFixed(0)} ms`);
      const answers = {};
      for (const [name, path] of Object.entries(paths)) {
        answers[name] = await timesOf(app, path, CALLS[size]);
        say(`dashboard: ${name}: ${JSON.stringify(answers[name])}`);
      }
      const search = await searchTime(app, paths['a text that no job has']);
      say(`dashboard: a text that no job has, ${SEARCHED} jobs: ${search.toFixed(0)} ms`);
      const blocked = await longTasksOf(app, options, [
        `/runs/${run.id}`,
        `/runs/${run.id}?step=${encodeURIComponent(node)}`,
      ]);
      say(`dashboard: longest task of the browser: ${JSON.stringify(blocked)}`);
      for (const end of ends.splice(0)) await end();
      const indexedFrom = performance.now();
      await app.jobs.list({ task: 'mail.*', limit: 1, waitForIndex: true }); // what follows is measured without that work
      const indexMs = performance.now() - indexedFrom;
      say(`dashboard: the rest of the calls was moved into the index in ${(indexMs / 1000).toFixed(0)} s`);
      const longest = await longestOf(client, app, { ...paths, conditions: '/conditions' });
      say(`dashboard: longest command: ${JSON.stringify(longest)}`);
      const rest = {};
      for (const tabs of [0, TABS]) {
        rest[tabs] = await atRest(app, redis, tabs, run.id);
        say(`dashboard: ${tabs} pages at rest: ${JSON.stringify(rest[tabs])}`);
      }
      return { waiting: WAITING[size], load, answers, search, indexMs, longest, blocked, rest };
    } finally {
      for (const end of ends) await end();
      client.disconnect();
      await app.close();
      await redis.stop();
    }
  },
  lines({ waiting, load, answers, search, indexMs, longest, blocked, rest }) {
    return [
      `${waiting} waiting jobs and a run of ${MEMBERS}, beside ${RATE} calls a second, which take ${load.toFixed(1)} cores`,
      ...Object.entries(answers).map(
        ([name, { median, p95 }]) => `${name}: ${median.toFixed(0)} ms, 95 % within ${p95.toFixed(0)} ms`,
      ),
      `a text that no job has is searched in ${SEARCHED} jobs within ${search.toFixed(0)} ms, in several answers`,
      `without load, the rest of the calls is moved into the index in ${(indexMs / 1000).toFixed(0)} s`,
      `the longest command of an answer takes ${longest.ms.toFixed(1)} ms`,
      blocked === undefined
        ? 'the browser was not measured: Chromium is not installed'
        : `the page of the run blocks the browser for ${blocked.longestMs.toFixed(0)} ms at most, is there after ${blocked.shownMs.toFixed(0)} ms`,
      ...Object.entries(rest).map(
        ([tabs, { sent, commands, cpu }]) =>
          `${tabs} open pages at rest: ${sent.toFixed(1)} commands a second, ${commands.toFixed(1)} with those within scripts, ${cpu.toFixed(1)} % of a core of Redis`,
      ),
    ];
  },
  judge({ answers, longest, blocked, rest }) {
    const limit = (what, reached, most, unit) => ({ what, reached, most, unit, met: reached <= most });
    return [
      ...Object.entries(answers).map(([name, { p95 }]) => limit(name, p95, ALLOWED_MS, 'ms')),
      limit('longest command of an answer', longest.ms, ALLOWED_COMMAND_MS, 'ms'),
      ...(blocked === undefined
        ? []
        : [limit('browser blocked at once', blocked.longestMs, BLOCKED_MS, 'ms')]),
      limit(`${TABS} pages at rest, commands a second`, rest[TABS].sent, ALLOWED_COMMANDS, ''),
    ];
  },
};
