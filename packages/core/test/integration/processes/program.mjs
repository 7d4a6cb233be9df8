// A program whose workers have several processes: `node program.mjs <redis url> <app name> <options as JSON>`. It runs
// what was built, tells what it does by lines of JSON, and does what such lines on its standard input say.
import { existsSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp, processIndex } from '@umbel/core';
import { prometheusMetrics } from '@umbel/core/prometheus';
import { z } from 'zod';

const [url, name, json] = process.argv.slice(2);
const { workers = [{}], crash, onSignal, failsIn, measured } = JSON.parse(json);

const say = (event) =>
  console.log(JSON.stringify({ pid: process.pid, index: processIndex() ?? null, ...event }));
const log = (level) => (text) => say({ log: level, text });
const logger = { info: log('info'), warn: log('warn'), error: log('error') };
const app = createApp({ name, connection: url, logger, queues: ['other', 'more'] });

if (failsIn !== undefined && failsIn === processIndex()) throw new Error('this module is broken');

app.task({
  name: 'work',
  input: z.object({
    n: z.number(),
    /** A file: it runs until that is there, or it is told to stop. */
    until: z.string().optional(),
    /** It ends its process, unless the file is there. */
    exit: z.number().optional(),
    blocks: z.boolean().optional(),
  }),
  run: async ({ n, until, exit, blocks }, ctx) => {
    say({ began: n, attempt: ctx.attempt });
    if (exit !== undefined && !existsSync(until)) {
      writeFileSync(until, ''); // once is enough
      process.exit(exit);
    }
    while (blocks) {} // nothing else happens in this process any more
    while (until !== undefined && !existsSync(until) && !ctx.signal.aborted) await sleep(10);
    ctx.signal.throwIfAborted();
    say({ ended: n });
    return process.pid;
  },
});

if (onSignal) process.on(onSignal, () => say({ signalled: onSignal }));

const withMetrics = (options) =>
  measured ? { ...options, health: { ...options.health, metrics: prometheusMetrics(app) } } : options;
const made = workers.map((options) => app.worker(withMetrics(options)));
for (const [number, worker] of made.entries()) {
  void worker.closed.then((reason) => say({ closed: reason, worker: number }));
  try {
    await worker.start();
  } catch (error) {
    say({ failed: error.message, code: error.code });
    throw error;
  }
  const { isSupervisor, processIndex: own, state, queues, healthPort = null } = worker;
  say({ started: number, isSupervisor, own: own ?? null, name: worker.name, state, queues, healthPort });
}
if (crash && processIndex() !== undefined) process.exit(9);

if (processIndex() === undefined) {
  const [worker] = made;
  const answer = async (id, call, args) => {
    try {
      const value = typeof worker[call] === 'function' ? await worker[call](...args) : worker[call];
      say({ id, answer: value ?? null });
    } catch (error) {
      say({ id, answer: error.name });
    }
  };
  for await (const line of createInterface(process.stdin)) {
    const { id, call, args = [] } = JSON.parse(line);
    const answering = answer(id, call, args);
    if (call !== 'close') continue;
    await answering;
    break;
  }
  process.stdin.destroy();
}
