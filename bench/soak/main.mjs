// A mixed load for half an hour, after which nothing may have grown: `npm run soak -- [--minutes 30] [--ttl 20]
// [--out samples.json]`. It prints a line a minute, and the verdict; the exit code is 1 if something grows. See README.md.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startRedis } from '../run/redis-server.mjs';
import { judgeSeries } from './judge.mjs';
import { restartedWorker, startProcess } from './processes.mjs';

const MIB = 2 ** 20;
/** Samples of a whole run, and how often one is taken at most. */
const SAMPLES = 180;
const SHORTEST_SAMPLE_MS = 2000;
const QUEUES = ['default', 'slow', 'umbel', 'umbel.control', 'umbel.schedules', 'umbel.tags'];
const RESTART_MS = 45_000;
/** What keeps to `--ttl` is gone by then. */
const GRACE_MS = 10_000;
/** Entries of a stream of events: 10,000, and the last node of each is not cut. */
const LONGEST_STREAM = 10_200;
/** Until the heap of a process has what it keeps: compiled code, caches. */
const WARM_MINUTES = 20;

/** By how much the median of the last quarter may exceed that of the second one. */
const FIGURES = {
  'sender heap': { unit: 'MiB', scale: MIB, part: 0.1, floor: 2 * MIB },
  'worker heap': { unit: 'MiB', scale: MIB, part: 0.1, floor: 2 * MIB },
  'sender handles': { unit: '', scale: 1, part: 0.1, floor: 5 },
  'worker handles': { unit: '', scale: 1, part: 0.1, floor: 5 },
  'Redis keys': { unit: '', scale: 1, part: 0.1, floor: 100 },
  'Redis bytes': { unit: 'MiB', scale: MIB, part: 0.1, floor: MIB },
};

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    ttl: { type: 'string', default: '20' },
    out: { type: 'string' },
  },
});
const within = (option, least, most) => {
  const value = Number(values[option]);
  if (value >= least && value <= most) return value;
  throw new Error(`expected --${option} to be a number from ${least} to ${most}, got "${values[option]}"`);
};
const minutes = within('minutes', 1, 24 * 60);
const ttlS = within('ttl', 1, 3600);
const endMs = minutes * 60_000;
const sampleMs = Math.max(SHORTEST_SAMPLE_MS, endMs / SAMPLES);

const redis = await startRedis({ durable: false });
const client = new Redis(redis.url);
const settings = { url: redis.url, name: 'soak', ttlMs: ttlS * 1000 };
const startedAt = performance.now();
const elapsed = () => performance.now() - startedAt;

const steady = await startProcess('worker', { ...settings, worker: 'steady' });
const restarted = await restartedWorker(settings, {
  everyMs: RESTART_MS,
  isRough: () => elapsed() < endMs / 4,
});
const sender = await startProcess('sender', settings);

const samples = [];
let printedAt = Number.NEGATIVE_INFINITY;
console.log(
  `${minutes} minutes, results live for ${ttlS} s, Redis ${redis.version}, Node ${process.versions.node}`,
);
console.log(
  [
    'minute',
    ...Object.keys(FIGURES),
    'streams',
    'sender RSS',
    'worker RSS',
    'passes',
    'late',
    'restarts',
    'faults',
  ].join('  '),
);
while (elapsed() < endMs) {
  await sleep(sampleMs);
  const sample = await take();
  samples.push(sample);
  if (sample.at - printedAt < 60_000 && elapsed() < endMs) continue;
  printedAt = sample.at;
  console.log(lineOf(sample));
}
const kinds = await keyKinds();
const last = await sender.ask('stop');
await restarted.stop();
await sleep(ttlS * 1000 + GRACE_MS);
const idle = await storeFacts();
const left = await keyKinds();
const lastOfWorker = await steady.ask('stop');
client.disconnect();
await redis.stop();

const faults = [...last.faults.texts, ...lastOfWorker.faults.texts];
const faultCount = last.faults.count + lastOfWorker.faults.count;
const verdicts = Object.entries(FIGURES).map(([name, limits]) => ({
  name,
  ...judgeSeries(
    samples.map((sample) => sample.figures[name]),
    limits,
  ),
}));
const longest = Math.max(...samples.map(({ longestStream }) => longestStream));
report();
if (values.out !== undefined) {
  const document = { minutes, ttlS, samples, verdicts, idle, kinds, left, passes: last.passes, faults };
  writeFileSync(values.out, `${JSON.stringify(document, null, 2)}\n`);
}
const isFine = verdicts.every(({ isLevel }) => isLevel) && longest <= LONGEST_STREAM && faultCount === 0;
process.exit(isFine ? 0 : 1);

async function take() {
  const [ofSender, ofWorker, store] = await Promise.all([
    sender.ask('sample'),
    steady.ask('sample'),
    storeFacts(),
  ]);
  return {
    at: elapsed(),
    figures: {
      'sender heap': ofSender.heap,
      'worker heap': ofWorker.heap,
      'sender handles': ofSender.handles,
      'worker handles': ofWorker.handles,
      'Redis keys': store.keys,
      'Redis bytes': store.bytes,
    },
    rss: [ofSender.rss, ofWorker.rss],
    longestStream: store.longestStream,
    streamBytes: store.streamBytes,
    late: ofSender.late,
    passes: Object.values(ofSender.passes).reduce((sum, count) => sum + count, 0),
    faults: ofSender.faults.count + ofWorker.faults.count,
    restarts: restarted.restarts,
  };
}

async function storeFacts() {
  const [keys, memory, ...streams] = await Promise.all([
    client.dbsize(),
    client.info('memory'),
    ...QUEUES.flatMap((queue) => {
      const key = `umbel:{${settings.name}}:${queue}:events`;
      return [client.xlen(key), client.memory('USAGE', key, 'SAMPLES', 0)];
    }),
  ]);
  const field = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(memory)?.[1]);
  const events = streams.filter((_, index) => index % 2 === 0);
  const streamBytes = streams
    .filter((_, index) => index % 2 === 1)
    .reduce((sum, bytes) => sum + (bytes ?? 0), 0);
  // Streams of events are full after minutes or hours, by the load: their length is judged instead.
  const bytes = field('used_memory') - field('mem_clients_normal') - streamBytes;
  return { keys, bytes, streamBytes, longestStream: Math.max(...events) };
}

/** Keys by what they are: ids and numbers are taken out. The most frequent first. */
async function keyKinds() {
  const counts = new Map();
  for await (const keys of client.scanStream({ count: 1000 })) {
    for (const key of keys) {
      const kind = key
        .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}[^:]*/g, '<id>')
        .replaceAll(/[0-9a-f]{16,}/g, '<hash>')
        .replaceAll(/\d+/g, '<n>');
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

function shown(name, value) {
  const { scale, unit } = FIGURES[name];
  return `${(value / scale).toFixed(scale === 1 ? 0 : 2)}${unit === '' ? '' : ` ${unit}`}`;
}

function lineOf({ at, figures, rss, streamBytes, passes, late, faults: count, restarts }) {
  const own = Object.entries(figures).map(([name, value]) => shown(name, value).padStart(name.length));
  const sizes = [streamBytes, ...rss].map((bytes, index) =>
    `${(bytes / MIB).toFixed(0)} MiB`.padStart(index === 0 ? 7 : 10),
  );
  const cells = [
    `${passes}`.padStart(6),
    `${late}`.padStart(4),
    `${restarts}`.padStart(8),
    `${count}`.padStart(6),
  ];
  return [(at / 60_000).toFixed(1).padStart(6), ...own, ...sizes, ...cells].join('  ');
}

function report() {
  console.log(
    `\nkeys while it ran: ${kinds
      .slice(0, 8)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ')}`,
  );
  console.log(
    `${idle.keys} keys, ${(idle.bytes / MIB).toFixed(2)} MiB, when nothing had been sent for ${ttlS + GRACE_MS / 1000} s: ${left
      .slice(0, 8)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ')}`,
  );
  console.log(
    `passes: ${Object.entries(last.passes)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}\n`,
  );
  for (const text of faults) console.log(`fault: ${text}`);
  console.log('medians of the second and of the last quarter of the time');
  for (const { name, second, last: end, growth, most, trend, isLevel } of verdicts) {
    const change = `${growth >= 0 ? '+' : '−'}${shown(name, Math.abs(growth))}`;
    console.log(
      `${isLevel ? 'level ' : 'GROWS '} ${name}: ${shown(name, second)} → ${shown(name, end)}: ${change} ` +
        `(at most +${shown(name, most)}; trend ${trend.toFixed(1)} σ)`,
    );
  }
  console.log(
    `${longest <= LONGEST_STREAM ? 'level ' : 'GROWS '} longest stream of events: ${longest} (at most ${LONGEST_STREAM})`,
  );
  console.log(faultCount === 0 ? 'level  no faults' : `FAILS  ${faultCount} faults`);
  if (minutes < WARM_MINUTES)
    console.log(
      `In less than ${WARM_MINUTES} minutes a heap may grow without a leak: code is still being compiled.`,
    );
}
