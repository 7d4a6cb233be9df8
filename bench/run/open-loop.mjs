// Load that does not wait for answers: calls are sent at a steady rate, however long each takes.
import * as bullmq from '../systems/bullmq.mjs';
import { inFlight } from './in-flight.mjs';
import { startRedis } from './redis-server.mjs';

/** How often calls are sent that are due: timers of Node are no finer. */
const TICK_MS = 1;

/** Calls `send` so often a second until it is stopped; `stop` resolves when all calls have been answered. */
export function openLoop(perSecond, send) {
  if (perSecond === 0) return { stop: async () => 0 };
  const startedAt = performance.now();
  const pending = new Set();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1000);
    for (; sent < due; sent += 1) {
      const call = Promise.resolve(send(sent)).finally(() => pending.delete(call));
      pending.add(call);
    }
  }, TICK_MS);
  return {
    /** Returns how many were sent. */
    async stop() {
      clearInterval(timer);
      await Promise.all(pending);
      return sent;
    },
  };
}

/**
 * How many no-op jobs a second bare BullMQ sends and runs in one process: what each row calls full load, for every system.
 */
export async function singleCapacity(quick) {
  const redis = await startRedis({ durable: false });
  const own = bullmq.open(redis.url);
  try {
    await own.start();
    const run = async (count) => {
      const ran = own.jobs(count);
      const startedAt = performance.now();
      await Promise.all([inFlight(count, bullmq.CONCURRENCY, () => own.queue.add('noop', { a: 1 })), ran]);
      return (count * 1000) / (performance.now() - startedAt);
    };
    await run(1000); // connects and compiles
    return await run(quick ? 3000 : 10_000);
  } finally {
    await own.close();
    await redis.stop();
  }
}
