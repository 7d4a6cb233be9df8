// Whether memory stays bounded: runs come at a steady rate for three days of which each takes a few seconds, since
// results are kept for one such day.
import { setTimeout as sleep } from 'node:timers/promises';
import { chain } from '@umbel/canvas';
import { Redis } from 'ioredis';
import { startRedis } from '../run/redis-server.mjs';
import { open } from '../systems/umbel.mjs';

const DAY_S = 6;
const HOURS = 24;
const DAYS = 3;
/** Of 1,000: this machine is asked for as many in an hour as it can do in a quarter of a second. */
const RUNS_AN_HOUR = 10;
/** Until a worker has looked for what is due. */
const IDLE_MS = 3000;

export const row = {
  title: 'memory over three days of steady runs, results kept for a day',
  async measure({ quick, say }) {
    const dayS = quick ? DAY_S / 2 : DAY_S;
    const redis = await startRedis({ durable: false });
    const client = new Redis(redis.url);
    const own = open(redis.url, { resultTtl: `${dayS}s`, failureTtl: `${dayS}s` });
    const used = async () => {
      const info = await client.info('memory');
      const field = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
      return field('used_memory') - field('mem_clients_normal');
    };
    try {
      await own.start();
      const steps = chain(own.increment.s({ n: 0 }), own.increment, own.increment);
      await (await steps.delay()).get();
      const before = await used();
      const days = [];
      const startedAt = performance.now();
      for (let hour = 1; hour <= HOURS * DAYS; hour += 1) {
        await Promise.all(Array.from({ length: RUNS_AN_HOUR }, () => steps.delay()));
        await sleep(Math.max(0, startedAt + (hour * dayS * 1000) / HOURS - performance.now()));
        if (hour % HOURS > 0) continue;
        // Those that a busy machine has not come to yet are held too.
        const counts = await own.app.queue('default').counts();
        const unended = counts.waiting + counts.active + counts['waiting-children'];
        days.push({
          bytes: (await used()) - before,
          jobs: await client.dbsize(),
          unended,
          kept: counts.completed,
        });
        say(`retention: day ${days.length}, ${days.at(-1).bytes} bytes`);
      }
      const seconds = (performance.now() - startedAt) / 1000;
      // Nothing ends any more: what is left goes by itself.
      await sleep(dayS * 1000 + IDLE_MS);
      const left = await client.dbsize();
      say(`retention: ${left} keys after an idle day`);
      return { runsADay: RUNS_AN_HOUR * HOURS, days, left, seconds };
    } finally {
      await own.close();
      client.disconnect();
      await redis.stop();
    }
  },
  lines({ runsADay, days, left }) {
    const perRun = days[0].bytes / runsADay;
    return [
      ...days.map(
        ({ bytes, jobs, unended, kept }, day) =>
          `after day ${day + 1}: ${Math.round(bytes / 1024)} KiB, ${jobs} keys, ${kept} tasks kept, ${unended} not yet run`,
      ),
      `after a day without runs: ${left} keys`,
      `a run of three steps that is kept: ${Math.round(perRun).toLocaleString('en')} bytes; ` +
        `with 1,000 runs an hour, kept for a day: ${((perRun * 24_000) / 2 ** 20).toFixed(0)} MiB`,
    ];
  },
};
