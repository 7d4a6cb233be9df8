// Forgetting a run with all that it has stored: a group of so many members, and a chain of so many steps. BullMQ removes a
// flow as one command, which holds Redis as long as that takes, and which fails at some depth: it is told beside the group.
import { chain, group } from '@umbel/canvas';
import { FlowProducer, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { Meter } from '../run/meter.mjs';
import { startRedis } from '../run/redis-server.mjs';
import { longestCommand } from '../run/slow-log.mjs';
import { open } from '../systems/umbel.mjs';

const MEMBERS = { quick: [200, 1000], full: [2000, 10_000] };
const STEPS = { quick: [200, 500], full: [1000, 5000] };

/** What forgetting a run costs that has ended. */
async function forgotten({ meter, client }, run) {
  let cost;
  const longestMs = await longestCommand(client, async () => {
    await meter.phase('forget', () => run.forget());
    cost = meter.take().phases.forget;
  });
  const commands = cost.commands.evalsha ?? 0;
  return {
    ms: cost.ms,
    cpuMs: cost.cpuMs + cost.redisMs,
    commandMs: cost.redisMs / (commands || 1),
    longestMs,
  };
}

/** What BullMQ's removal of a flow of so many children costs, none of which has run. */
async function flowRemoved({ meter, redis }, size) {
  const connection = { url: redis.url };
  const flows = new FlowProducer({ connection, prefix: 'bare' });
  const queue = new Queue('flows', { connection, prefix: 'bare' });
  const children = Array.from({ length: size }, () => ({ name: 'child', queueName: 'flows' }));
  const { job } = await flows.add({ name: 'parent', queueName: 'flows', children });
  await meter.phase('remove', () => queue.remove(job.id));
  await Promise.all([flows.close(), queue.close()]);
  return meter.take().phases.remove.ms;
}

export const row = {
  title: 'a run that has ended is forgotten',
  async measure({ quick, say }) {
    const kind = quick ? 'quick' : 'full';
    const redis = await startRedis({ durable: false });
    const client = new Redis(redis.url);
    const meter = new Meter(redis.url);
    const own = open(redis.url);
    const shapes = { group: [], chain: [] };
    try {
      await own.start();
      for (const size of MEMBERS[kind]) {
        const run = await group(Array.from({ length: size }, () => own.increment.s({ n: 0 }))).delay();
        await run.outcome({ timeout: '2m' });
        const bullMs = await flowRemoved({ meter, redis }, size);
        shapes.group.push({ size, ...(await forgotten({ meter, client }, run)), bullMs });
        say(`forget: group of ${size}, ${Math.round(shapes.group.at(-1).ms)} ms`);
      }
      for (const size of STEPS[kind]) {
        const [first, ...rest] = Array.from({ length: size }, () => own.increment);
        const run = await chain(first.s({ n: 0 }), ...rest).delay();
        await run.outcome({ timeout: '2m' });
        shapes.chain.push({ size, ...(await forgotten({ meter, client }, run)) });
        say(`forget: chain of ${size}, ${Math.round(shapes.chain.at(-1).ms)} ms`);
      }
      return shapes;
    } finally {
      await own.close();
      meter.close();
      client.disconnect();
      await redis.stop();
    }
  },
  lines(shapes) {
    return Object.entries(shapes).flatMap(([name, sizes]) =>
      sizes.map(
        ({ size, ms, cpuMs, commandMs, longestMs, bullMs }) =>
          `${name} of ${size.toLocaleString('en')}: ${Math.round(ms)} ms, processor ${Math.round(cpuMs)} ms; of Redis ` +
          `${commandMs.toFixed(1)} ms a command, the longest took ${longestMs.toFixed(1)} ms` +
          (bullMs === undefined ? '' : `; BullMQ removes such a flow in ${Math.round(bullMs)} ms`),
      ),
    );
  },
  judge({ group: groups, chain: chains }) {
    return [
      ['member', groups.at(-1), 0.5],
      ['step', chains.at(-1), 1],
    ].flatMap(([part, { size, ms, commandMs }, mostMs]) =>
      [
        { what: `time a ${part} of ${size}`, reached: ms / size, most: mostMs, unit: 'ms' },
        { what: `processor time of Redis for a command, ${part}s`, reached: commandMs, most: 10, unit: 'ms' },
      ].map((limit) => ({ ...limit, met: limit.reached <= limit.most })),
    );
  },
};
