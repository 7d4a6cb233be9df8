// A caller or a worker of the rows `many-gets` and `progress-followers`: `node --expose-gc run/waiting-program.mjs
// <system> <url> <name>`.
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '@umbel/core';
import { Queue, QueueEvents, Worker } from 'bullmq';

const [, , system, url, name] = process.argv;
const CONCURRENCY = 100;
/** What each job of the second row reports, and how far apart. */
const REPORTS = 10;
const APART_MS = 20;
const logger = { debug() {}, info() {}, warn() {}, error: console.error };

const systems = {
  umbel() {
    const app = createApp({ name, connection: url, logger });
    const task = app.task({ name: 'task', run: async () => ({ done: true }) });
    const report = app.task({
      name: 'report',
      run: async (_, { progress }) => {
        for (let percent = 1; percent <= REPORTS; percent += 1) {
          await progress({ percent });
          await sleep(APART_MS);
        }
      },
    });
    return {
      work: () => app.worker({ concurrency: CONCURRENCY, handleSignals: false }).start(),
      send: (count) => task.sendMany(Array.from({ length: count })),
      wait: (results) => results.map((result) => result.get()),
      sendReports: (count) => report.sendMany(Array.from({ length: count })),
      follow: (results) =>
        results.map(async (result) => {
          let seen = 0;
          for await (const { percent } of result.progress()) seen += percent > 0 ? 1 : 0;
          return seen;
        }),
    };
  },
  bullmq() {
    const connection = { url };
    const queue = new Queue(name, { connection });
    const handle = async (job) => {
      if (job.name !== 'report') return { done: true };
      for (let percent = 1; percent <= REPORTS; percent += 1) {
        await job.updateProgress({ percent });
        await sleep(APART_MS);
      }
    };
    const events = new QueueEvents(name, { connection });
    events.setMaxListeners(0);
    queue.setMaxListeners(0);
    return {
      async work() {
        const worker = new Worker(name, handle, { connection, concurrency: CONCURRENCY });
        await worker.waitUntilReady();
        return worker;
      },
      async send(count, task = 'task') {
        await events.waitUntilReady();
        const jobs = [];
        for (let from = 0; from < count; from += 1000) {
          const slice = Array.from({ length: Math.min(1000, count - from) }, () => ({
            name: task,
            data: {},
          }));
          jobs.push(...(await queue.addBulk(slice)));
        }
        return jobs;
      },
      wait: (jobs) => jobs.map((job) => job.waitUntilFinished(events)),
      sendReports(count) {
        return this.send(count, 'report');
      },
      follow: (jobs) =>
        jobs.map(
          ({ id }) =>
            new Promise((resolve) => {
              let seen = 0;
              events.on(`progress:${id}`, ({ data }) => {
                seen += data.percent > 0 ? 1 : 0;
              });
              events.once(`completed:${id}`, () => {
                events.removeAllListeners(`progress:${id}`);
                resolve(seen);
              });
            }),
        ),
    };
  },
};

const own = systems[system]();
let worker;
let waits;
let cpuMs = 0;

const cpu = () => {
  const { user, system: ofSystem } = process.cpuUsage();
  return (user + ofSystem) / 1000;
};
const heap = () => {
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
};
const quiet = () => sleep(700);

const steps = {
  async work() {
    worker = await own.work();
    return {};
  },
  /** No jobs are taken from now on. */
  async rest() {
    await worker.close();
    return {};
  },
  /** Sends and waits; `bytes` is what stays in memory for both. */
  async wait({ count }) {
    await own.send(10); // connects and compiles
    const before = heap();
    const sent = await own.send(count);
    await quiet(); // what was sent has been answered
    const cpuBefore = cpu();
    waits = own.wait(sent);
    await quiet();
    cpuMs = cpu() - cpuBefore;
    return { bytes: heap() - before };
  },
  /** The same of those who follow what jobs report. */
  async follow({ count }) {
    const sent = await own.sendReports(count);
    await quiet();
    const cpuBefore = cpu();
    waits = own.follow(sent);
    await quiet();
    cpuMs = cpu() - cpuBefore;
    return {};
  },
  async end() {
    const cpuBefore = cpu();
    const ends = await Promise.all(waits);
    const seen = ends.reduce((sum, end) => sum + (typeof end === 'number' ? end : 0), 0);
    return { cpuMs: cpuMs + cpu() - cpuBefore, seen };
  },
};

process.on('message', async (request) => {
  try {
    process.send(await steps[request.do](request));
  } catch (error) {
    process.send({ error: error.stack });
  }
});
