// Closes an app, or a worker, at each step of something that is under way, or at so many of them: `node
// closing-program.mjs <redis url, or "memory"> <app name> <scenario> <number of places>`. A step is a connection or a command of the store. It runs what was built, prints what
// it has found as JSON, and must end by itself: whatever was left open would keep it alive.
import { EventEmitter, once } from 'node:events';
import { chain, group } from '@umbel/canvas';
import { createApp, processIndex } from '@umbel/core';
import { Redis } from 'ioredis';
import { memory } from '../../../testing/dist/index.js';

const [url, name, scenario, places] = process.argv.slice(2);
const problems = [];

let steps = 0;
let stopAt = -1;
let stop = () => {};
function step() {
  steps += 1;
  if (steps === stopAt) stop();
}

/** Every connection of this process. */
const clients = new Set();
for (const method of ['connect', 'sendCommand']) {
  const own = Redis.prototype[method];
  Redis.prototype[method] = function (...args) {
    clients.add(this);
    step();
    return own.apply(this, args);
  };
}

/** A store in memory whose commands are steps, too. */
function countedMemory() {
  const factory = memory();
  return Object.assign((...args) => counted(factory(...args)), {
    [Symbol.for('umbel.in-process-store')]: true,
  });
}

function counted(backend) {
  for (
    let proto = Object.getPrototypeOf(backend);
    proto !== EventEmitter.prototype && proto !== Object.prototype;
  ) {
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
      if (typeof value !== 'function' || key === 'constructor' || Object.hasOwn(backend, key)) continue;
      backend[key] = (...args) => {
        step();
        const result = value.apply(backend, args);
        return key === 'forQueue' ? counted(result) : result;
      };
    }
    proto = Object.getPrototypeOf(proto);
  }
  return backend;
}

const connection = url === 'memory' ? countedMemory() : url;
const quiet = { info() {}, warn() {}, error() {} };

function newApp() {
  const app = createApp({ name, connection, logger: quiet, queues: ['other'], sendTimeout: '3s' });
  const echo = app.task({ name: 'echo', queue: 'other', run: () => 1 });
  app.schedule('hourly', { every: '1h' }, echo.s());
  return { app, echo };
}

const options = { handleSignals: false, health: { port: 0, host: '127.0.0.1' }, repairInterval: '1s' };
const all = async (items) => {
  for await (const _ of items);
};

/**
 * What has to be there first, and then what is under way: calls, those among them that nothing but the close ends, and
 * what is closed, if that is not the app.
 */
const scenarios = {
  start: ({ app }) => ({ calls: [() => app.worker(options).start()] }),
  'close-worker'({ app }) {
    const worker = app.worker(options);
    return { calls: [() => worker.start()], close: () => worker.close() };
  },
  async 'add-queue'({ app }) {
    const worker = await app.worker({ ...options, queues: ['default'] }).start();
    return { calls: [() => worker.addQueue('other')] };
  },
  async calls({ app, echo }) {
    const first = await echo.delay();
    const calls = [
      () => echo.delay(),
      () => echo.sendMany([undefined, undefined]),
      () => chain(echo.s(), echo.si()).delay(),
      () => group([echo.s(), echo.s()]).delay(),
      () => echo.applyAsync(undefined, { tags: ['red'], countdown: '1h' }),
      () => first.state(),
      () => all(app.find({ tag: 'red' })),
      () => app.revoke({ tag: 'red' }),
      () => app.queue('other').counts(),
      () => app.jobs.list(),
      () => app.inspect.ping({ timeout: 100 }),
      () => app.control.shutdown({ workers: 'nobody', timeout: 100 }),
      () => app.schedules.sync(),
    ];
    return { calls, endless: [() => first.get(), () => first.progress().next(), () => app.events().next()] };
  },
};

const settled = (call) =>
  Promise.resolve()
    .then(call)
    .then(
      () => undefined,
      (error) => error,
    );

/** Closes at the step of that number; gives the number of steps, which are only all of them if it did not come. */
async function closeAt(number) {
  const made = newApp();
  const { calls, endless = [], close = () => made.app.close() } = await scenarios[scenario](made);
  let closing;
  steps = 0;
  stopAt = number;
  stop = () => {
    closing ??= settled(close);
  };
  if (number === 0) stop();
  const ended = Promise.all(endless.map(settled));
  const errors = await Promise.all(calls.map(settled));
  const count = steps;
  stop();
  errors.push(await closing, ...(await ended));
  await made.app.close();
  for (const error of errors)
    if (error !== undefined && error.code !== 'CLOSED') problems.push(`step ${number}: ${error.stack}`);
  await Promise.all([...clients].map((client) => gone(client, number)));
  clients.clear();
  return count;
}

/** Settles when a connection has ended; whatever does not end soon was left open. */
async function gone(client, number) {
  if (client.status === 'end') return;
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, 3000, 'late');
  });
  if ((await Promise.race([once(client, 'end'), late])) === 'late')
    problems.push(`step ${number}: a connection was left open (${client.status})`);
  clearTimeout(timer);
}

const report = (found) => console.log(JSON.stringify({ ...found, problems }));

/** All of it while the store is away, for which workers and readers wait. */
async function closeWhileAway() {
  const { app, echo } = newApp();
  const calls = [
    () => app.worker(options).start(),
    () => echo.delay(),
    () => app.result(echo, 'some-id').get(),
    () => app.events().next(),
    () => app.inspect.ping({ timeout: 100 }),
    () => app.queue('other').counts(),
  ].map(settled);
  await new Promise(setImmediate);
  await app.close();
  for (const error of await Promise.all(calls))
    if (error !== undefined && error.code !== 'CLOSED') problems.push(error.stack);
}

/** A worker of several processes, in the first of them; the others are not to be started any more, or to end. */
async function closeSupervised() {
  for (const turns of [0, 1, 2, 5]) {
    const { app } = newApp();
    const started = settled(() => app.worker({ ...options, processes: 2 }).start());
    if (processIndex() !== undefined) continue;
    for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
    await app.close();
    const error = await started;
    if (error !== undefined && error.code !== 'CLOSED') problems.push(`after ${turns} turns: ${error.stack}`);
  }
}

/** Each step in turn. */
async function closeAtEach() {
  let at = -1; // it does not come
  let before;
  const hung = setInterval(() => {
    if (at === before) {
      problems.push(`step ${at}: something does not settle`);
      report({});
      process.exit(1);
    }
    before = at;
  }, 15_000);
  await closeAt(at); // loads code, whose steps come only once
  const count = await closeAt(at);
  const stride = Math.ceil(count / Number(places));
  for (at = 0; at <= count; at += stride) await closeAt(at);
  clearInterval(hung);
  return count;
}

let count;
if (scenario === 'away') await closeWhileAway();
else if (scenario === 'supervised') await closeSupervised();
else count = await closeAtEach();
if (processIndex() === undefined) {
  report({ count });
  setTimeout(() => {
    problems.push(`the process does not end: ${process.getActiveResourcesInfo().join(', ')}`);
    report({ count });
    process.exit(1);
  }, 10_000).unref();
}
