// Mixed load for half an hour, with rests in which everything that was sent goes: nothing may be left that grows from rest
// to rest. `npm run soak -- [--minutes 30] [--pace 1] [--out samples.json]` prints a line for each rest, and the verdict; the
// exit code is 1 if something grows. See README.md.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startRedis } from '../run/redis-server.mjs';
import { judgeSeries } from './judge.mjs';
import { restartedWorker, startProcess } from './processes.mjs';

const MIB = 2 ** 20;
/** Rests of a whole run at least: the verdict compares quarters of them. */
const LEAST_RESTS = 18;
const LONGEST_TTL_S = 20;
/** Until workers have removed what keeps to `--ttl`; and until the load stops, on a busy machine. */
const GRACE_S = 5;
const STOP_S = 3;
const PEAK_MS = 2000;
const QUEUES = ['default', 'slow', 'umbel', 'umbel.control', 'umbel.schedules', 'umbel.tags'];
const RESTART_MS = 45_000;
/** Entries of a stream of events: 10,000, and the last node of each is not cut. */
const LONGEST_STREAM = 10_200;
/** Until the heap of a process has what it keeps: compiled code, caches. */
const WARM_MINUTES = 20;

/** By how much the median of the last quarter may exceed that of the second one. */
const FIGURES = {
  'sender heap': { unit: 'MiB', scale: MIB, part: 0.1, floor: 2 * MIB },
  'worker heap': { unit: 'MiB', scale: MIB, part: 0.1, floor: 2 * MIB },
  'sender handles': { unit: '', scale: 1, part: 0.1, floor: 3 },
  'worker handles': { unit: '', scale: 1, part: 0.1, floor: 3 },
  'Redis keys': { unit: '', scale: 1, part: 0.1, floor: 30 },
  'Redis bytes': { unit: 'MiB', scale: MIB, part: 0.1, floor: MIB },
};

const MORE = [
  ...['peak keys', 'peak bytes', 'streams', 'sender RSS', 'worker RSS', 'sender code', 'worker code'],
  ...['passes', 'late', 'restarts', 'faults'],
];

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    pace: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
if (!(minutes >= 5 && minutes <= 1440))
  throw new Error(`expected --minutes to be a number from 5 to 1440, got "${values.minutes}"`);
const pace = Number(values.pace);
if (!(pace >= 0.01 && pace <= 10))
  throw new Error(`expected --pace to be a number from 0.01 to 10, got "${values.pace}"`);
const endMs = minutes * 60_000;
// A turn is a load for twice as long as results live, and a rest until none is left.
const ttlS = Math.min(LONGEST_TTL_S, ((minutes * 60) / LEAST_RESTS - GRACE_S - STOP_S) / 3);

const redis = await startRedis({ durable: false });
const client = new Redis(redis.url);
const settings = { url: redis.url, name: 'soak', ttlMs: Math.round(ttlS * 1000), pace };
const startedAt = performance.now();
const elapsed = () => performance.now() - startedAt;

const steady = await startProcess('worker', { ...settings, worker: 'steady' });
const restarted = await restartedWorker(settings, {
  everyMs: RESTART_MS,
  isRough: () => elapsed() < endMs / 4,
});
const sender = await startProcess('sender', settings);

const samples = [];
const printed = new Set();
let kinds = [];
console.log(
  `${minutes} minutes at ${pace} times the usual pace, results live for ${ttlS.toFixed(1)} s, Redis ${redis.version}, Node ${process.versions.node}`,
);
console.log(['minute', ...Object.keys(FIGURES), ...MORE].join('  '));
// A machine that is busy with other things has fewer rests in the time.
while (elapsed() < endMs || (samples.length < LEAST_RESTS && elapsed() < 2 * endMs)) {
  await sender.ask('go');
  const peak = await peakOf(ttlS * 2000);
  if (elapsed() < endMs / 2) kinds = await keyKinds();
  await sender.ask('pause');
  await sleep((ttlS + GRACE_S) * 1000);
  const sample = { ...(await take()), peak };
  samples.push(sample);
  console.log(lineOf(sample));
  for (const text of sample.faultTexts) if (!printed.has(text)) console.log(`fault: ${text}`);
  for (const text of sample.faultTexts) printed.add(text);
}
const left = await keyKinds();
const last = await sender.ask('sample');
const lastOfWorker = await steady.ask('sample');
await sender.ask('stop');
await restarted.stop();
await steady.ask('stop');
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
const mostHistory = Math.max(...samples.map(({ historyKeys }) => historyKeys));
// A key for each minute of the last three hours and each quarter of an hour of the last week, the first and the last begun.
const ranMinutes = elapsed() / 60_000;
const historyLimit = Math.min(181, ranMinutes + 2) + Math.min(673, ranMinutes / 15 + 2);
report();
if (values.out !== undefined) {
  const document = { minutes, pace, ttlS, samples, verdicts, kinds, left, passes: last.passes, faults };
  writeFileSync(values.out, `${JSON.stringify(document, null, 2)}\n`);
}
const isFine =
  verdicts.every(({ isLevel }) => isLevel) &&
  longest <= LONGEST_STREAM &&
  mostHistory <= historyLimit &&
  faultCount === 0;
process.exit(isFine ? 0 : 1);

/** The most keys and bytes during a load. */
async function peakOf(ms) {
  const until = elapsed() + ms;
  const peak = { keys: 0, bytes: 0 };
  while (elapsed() < until) {
    await sleep(Math.min(PEAK_MS, ms));
    const { keys, bytes } = await storeFacts();
    peak.keys = Math.max(peak.keys, keys);
    peak.bytes = Math.max(peak.bytes, bytes);
  }
  return peak;
}

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
    code: [ofSender.code, ofWorker.code],
    longestStream: store.longestStream,
    streamBytes: store.streamBytes,
    historyKeys: store.historyKeys,
    late: ofSender.late + ofWorker.late,
    passes: Object.values(ofSender.passes).reduce((sum, count) => sum + count, 0),
    faults: ofSender.faults.count + ofWorker.faults.count,
    faultTexts: [...ofSender.faults.texts, ...ofWorker.faults.texts],
    restarts: restarted.restarts,
  };
}

async function storeFacts() {
  const history = await historyKeys();
  const [keys, memory, historyBytes, ...streams] = await Promise.all([
    client.dbsize(),
    client.info('memory'),
    Promise.all(history.map((key) => client.memory('USAGE', key, 'SAMPLES', 0))),
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
  // Streams of events are full after minutes or hours, by the load: their length is judged instead. So is the number of keys
  // of the history, which is full after three hours and a week.
  const keptBytes = historyBytes.reduce((sum, bytes) => sum + (bytes ?? 0), streamBytes);
  const bytes = field('used_memory') - field('mem_clients_normal') - keptBytes;
  return {
    keys: keys - history.length,
    bytes,
    streamBytes,
    longestStream: Math.max(...events),
    historyKeys: history.length,
  };
}

async function historyKeys() {
  const found = [];
  for await (const keys of client.scanStream({
    match: `umbel:{${settings.name}}:umbel.history:*`,
    count: 1000,
  }))
    found.push(...keys);
  return [...new Set(found)];
}

/** Keys by what they are: ids and numbers are taken out. The most frequent first. */
async function keyKinds() {
  const counts = new Map();
  for await (const keys of client.scanStream({ count: 1000 })) {
    for (const key of keys) {
      const kind = key
        .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|(?<=:)[0-9A-Za-z]{21}[^:]*/g, '<id>')
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

function lineOf({ at, figures, peak, rss, code, streamBytes, passes, late, faults: count, restarts }) {
  const mebibytes = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`;
  const own = Object.entries(figures).map(([name, value]) => shown(name, value).padStart(name.length));
  const more = [
    peak.keys,
    mebibytes(peak.bytes),
    mebibytes(streamBytes),
    ...[...rss, ...code].map(mebibytes),
  ];
  const counts = [passes, late, restarts, count];
  const cells = [...more, ...counts].map((cell, index) => `${cell}`.padStart(MORE[index].length));
  return [(at / 60_000).toFixed(1).padStart(6), ...own, ...cells].join('  ');
}

function report() {
  const most = (list) =>
    list
      .slice(0, 8)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ');
  console.log(`\nkeys under load: ${most(kinds)}`);
  console.log(`keys at the last rest: ${most(left)}`);
  console.log(
    `passes: ${Object.entries(last.passes)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}\n`,
  );
  console.log('at rest, medians of the second and of the last quarter of the time:');
  for (const { name, second, last: end, growth, most: limit, trend, isLevel } of verdicts) {
    const change = `${growth >= 0 ? '+' : '−'}${shown(name, Math.abs(growth))}`;
    console.log(
      `${isLevel ? 'level ' : 'GROWS '} ${name}: ${shown(name, second)} → ${shown(name, end)}: ${change} ` +
        `(at most +${shown(name, limit)}; trend ${trend.toFixed(1)} σ)`,
    );
  }
  console.log(
    `${longest <= LONGEST_STREAM ? 'level ' : 'GROWS '} longest stream of events: ${longest} (at most ${LONGEST_STREAM})`,
  );
  console.log(
    `${mostHistory <= historyLimit ? 'level ' : 'GROWS '} keys of the history: ${mostHistory} (at most ${Math.floor(historyLimit)})`,
  );
  console.log(faultCount === 0 ? 'level  no faults' : `FAILS  ${faultCount} faults`);
  if (minutes < WARM_MINUTES)
    console.log(
      `In less than ${WARM_MINUTES} minutes a heap may grow without a leak: code is still being compiled.`,
    );
}
