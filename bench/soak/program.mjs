// A process of a soak: `node --expose-gc program.mjs sender|worker '<settings as JSON>'`. It answers `sample` with what it
// uses, and ends at `stop`.
import { setTimeout as sleep } from 'node:timers/promises';
import { kindsOf } from './load.mjs';
import { soakApp } from './tasks.mjs';

const [, , role, text] = process.argv;
const settings = JSON.parse(text);
const MOST_TEXTS = 20;
const passes = {};
const faults = { count: 0, texts: [] };
let late = 0;
let isStopping = false;

function fault(text) {
  faults.count += 1;
  if (faults.texts.length < MOST_TEXTS) faults.texts.push(text.slice(0, 500));
}

const own = soakApp(settings, (message) => {
  // The Redis of a soak keeps nothing on disk, which a worker warns of.
  if (!message.includes('append-only file')) fault(`${role}: ${message}`);
});
const work = role === 'sender' ? Object.entries(kindsOf(own)).map(([name, kind]) => repeat(name, kind)) : [];
const worker = role === 'worker' ? await startWorker() : undefined;

function startWorker() {
  return own.app
    .worker({ concurrency: 20, lockDuration: '15s', shutdownTimeout: '5s', name: settings.worker })
    .start();
}

/** Passes one after the other, until the end. What one throws is counted. */
async function repeat(name, { everyMs, pass }) {
  for (let n = 0; !isStopping; n += 1) {
    const startedAt = performance.now();
    try {
      await pass(n);
      passes[name] = n + 1;
    } catch (error) {
      // On a machine that is busy with other things a pass may outlive the results that it looks at.
      if (performance.now() - startedAt > settings.ttlMs && error?.code === 'UNKNOWN_JOB') late += 1;
      else if (!isStopping) fault(`${name}: ${error?.stack ?? String(error)}`);
    }
    await sleep(Math.max(0, startedAt + everyMs - performance.now()));
  }
}

/** What is in use once nothing unused is left. */
function sample() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  return {
    heap: heapUsed + external,
    rss,
    handles: process.getActiveResourcesInfo().filter((kind) => kind !== 'Timeout').length,
    passes,
    late,
    faults,
  };
}

process.on('message', async (request) => {
  if (request === 'sample') process.send(sample());
  if (request !== 'stop') return;
  isStopping = true;
  await Promise.all(work);
  await worker?.close();
  await own.app.close();
  process.send(sample(), () => process.disconnect());
});
process.on('disconnect', () => process.exit());
process.send('ready');
