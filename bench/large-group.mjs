// A group of many members from an async iterator: how fast, with how much memory, and whether a command blocks Redis.
//
//   UMBEL_URL=redis://127.0.0.1:6379 node bench/large-group.mjs [members, default 100000]
import { chord, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { z } from 'zod';

const { UMBEL_URL: url = 'redis://127.0.0.1:6379' } = process.env;
const count = Number(process.argv[2] ?? 100_000);
const SLOW_US = 10_000;

const app = createApp({ name: `bench-large-group-${process.pid}`, connection: url });
let firstStarted;
const one = app.task({
  name: 'one',
  input: z.number(),
  run: async (n) => {
    firstStarted ??= performance.now();
    return n;
  },
});
const sum = app.task({
  name: 'sum',
  input: z.array(z.number()),
  run: async (numbers) => numbers.reduce((total, n) => total + n, 0),
});

const redis = new Redis(url);
const [, threshold] = await redis.config('GET', 'slowlog-log-slower-than');
const [, length] = await redis.config('GET', 'slowlog-max-len');
await redis.config('SET', 'slowlog-log-slower-than', SLOW_US);
await redis.config('SET', 'slowlog-max-len', 10_000);
await redis.slowlog('RESET');
await redis.config('RESETSTAT');
await app.worker({ concurrency: 100 }).start();

let lastRead = 0;
async function* members() {
  for (let n = 0; n < count; n += 1) {
    lastRead = performance.now();
    yield one.si(n);
  }
}

let rss = 0;
const watch = setInterval(() => {
  rss = Math.max(rss, process.memoryUsage().rss);
}, 50);
try {
  const began = performance.now();
  const run = await chord(group(members()), sum).delay();
  const sent = performance.now() - began;
  const value = await run.get();
  const all = performance.now() - began;
  if (value !== (count * (count - 1)) / 2) throw new Error(`wrong sum: ${value}`);
  const slow = await redis.slowlog('GET', 10_000);
  const stats = await redis.info('commandstats');
  const transaction = /cmdstat_exec:calls=(\d+),usec=\d+,usec_per_call=([\d.]+)/.exec(stats);
  const ms = (time) => `${Math.round(time).toLocaleString('en')} ms`;
  console.log(`members                  ${count.toLocaleString('en')}`);
  console.log(`sent in                  ${ms(sent)}`);
  console.log(`done in                  ${ms(all)}, ${((1000 * all) / count).toFixed(0)} µs a member`);
  console.log(`a member ran before the last was read: ${firstStarted < lastRead}`);
  console.log(`memory of this process   ${Math.round(rss / 1e6)} MB at most`);
  console.log(
    `transactions             ${transaction?.[1]}, ${(Number(transaction?.[2]) / 1000).toFixed(1)} ms on average`,
  );
  console.log(`commands over 10 ms      ${slow.length}`);
  for (const [, , us, command] of slow.slice(0, 5))
    console.log(`  ${(us / 1000).toFixed(1)} ms  ${String(command).slice(0, 60)}`);
} finally {
  clearInterval(watch);
  await redis.config('SET', 'slowlog-log-slower-than', threshold);
  await redis.config('SET', 'slowlog-max-len', length);
  await app.close();
  for await (const keys of redis.scanStream({ match: `umbel:{${app.name}}:*`, count: 1000 })) {
    if (keys.length > 0) await redis.unlink(keys);
  }
  redis.disconnect();
}
