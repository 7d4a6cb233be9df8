// A process of a soak: `node --expose-gc program.mjs sender|worker '<settings as JSON>'`. It answers `sample` with what it
// uses; a sender sends from `go` to `pause`.
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapCodeStatistics } from 'node:v8';
import { kindsOf } from './load.mjs';
import { soakApp } from './tasks.mjs';

const [, , role, text] = process.argv;
const settings = JSON.parse(text);
const MOST_TEXTS = 20;
/** Errors about a job that has expired: it was not found, or was gone when it was to be changed. */
const GONE = new Set(['UNKNOWN_JOB', 'JOB_STATE']);
const passes = {};
const faults = { count: 0, texts: [] };
let late = 0;
let isPaused = true;
let work = [];

function fault(text) {
  faults.count += 1;
  if (faults.texts.length < MOST_TEXTS) faults.texts.push(text.slice(0, 500));
}

const own = soakApp(settings, (message) => {
  if (message.includes('append-only file')) return; // the Redis of a soak keeps nothing on disk
  // A process that gets no processor time for half of a lock's.
  if (message.includes('could not renew lock')) late += 1;
  else fault(`${role}: ${message}`);
});
const kinds = role === 'sender' ? kindsOf(own) : {};
const worker = role === 'worker' ? await startWorker() : undefined;

function startWorker() {
  return own.app.worker({ concurrency: 20, shutdownTimeout: '5s', name: settings.worker }).start();
}

/** Passes one after the other, until the next pause. What one throws is counted. */
async function repeat(name, { everyMs: usualMs, pass }) {
  const everyMs = usualMs / settings.pace;
  while (!isPaused) {
    const startedAt = performance.now();
    const n = (passes[name] ?? -1) + 1;
    passes[name] = n;
    try {
      await pass(n);
    } catch (error) {
      // On a machine that is busy with other things a pass may outlive the results that it looks at, or what it changes.
      if (performance.now() - startedAt > settings.ttlMs && GONE.has(error?.code)) late += 1;
      else fault(`${name}: ${error?.stack ?? String(error)}`);
    }
    while (!isPaused && performance.now() < startedAt + everyMs)
      await sleep(Math.min(100, Math.max(1, startedAt + everyMs - performance.now())));
  }
}

/**
 * What is in use once nothing unused is left. Compiled code is not counted: Node compiles more of a program for as long as
 * it runs, and drops what has not run for a while.
 */
function sample() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  const code = getHeapCodeStatistics();
  const codeBytes = code.code_and_metadata_size + code.bytecode_and_metadata_size;
  return {
    heap: heapUsed + external - codeBytes,
    code: codeBytes,
    rss,
    handles: process.getActiveResourcesInfo().filter((kind) => kind !== 'Timeout').length,
    passes,
    late,
    faults,
  };
}

const requests = {
  sample,
  go() {
    isPaused = false;
    work = Object.entries(kinds).map(([name, kind]) => repeat(name, kind));
  },
  async pause() {
    isPaused = true;
    await Promise.all(work);
  },
  async stop() {
    await worker?.close();
    await own.app.close();
  },
};

process.on('message', async (request) => {
  const answer = (await requests[request]()) ?? 'done';
  process.send(answer, () => request === 'stop' && process.disconnect());
});
process.on('disconnect', () => process.exit());
process.send('ready');
