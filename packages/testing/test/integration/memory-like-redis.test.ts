import {
  type BackendFactory,
  type ConnectionOptions,
  createRedisBackend,
  Queue,
  type RedisClient,
  removeAllQueueData,
} from 'bullmq';
import fc from 'fast-check';
import { expect, inject, test } from 'vitest';
import { IS_LONG, sized } from '../../../../test/support/length.js';
import { memory } from '../../src/memory/index.js';
import { normalise, observe, outcomeOf } from '../support/differential/observation.js';
import { type Operation, operations } from '../support/differential/operation.js';
import { nextMillisecond, openWorld, QUEUES } from '../support/differential/world.js';

const LISTS = Number(process.env.UMBEL_DIFFERENTIAL_LISTS ?? sized(15, 100));
// Finding the shortest list that fails takes minutes, so it has to be asked for.
const SHRINK = process.env.UMBEL_DIFFERENTIAL_SHRINK !== undefined;
const anySeed = IS_LONG || process.env.UMBEL_DIFFERENTIAL_LISTS !== undefined;
const SEED = Number(process.env.UMBEL_DIFFERENTIAL_SEED ?? (anySeed ? Date.now() % 1e8 : 75_898_111));

const { hostname, port, username, password } = new URL(inject('redisUrl'));
const connection: ConnectionOptions = {
  host: hostname,
  port: Number(port || 6379),
  maxRetriesPerRequest: null,
  ...(username ? { username } : {}),
  ...(password ? { password } : {}),
};

let prefixes = 0;

async function forget(prefix: string): Promise<void> {
  for (const name of QUEUES) {
    const queue = new Queue(name, { connection, prefix }, createRedisBackend);
    const client: RedisClient = await queue.getBackend().client;
    await removeAllQueueData(client, name, prefix);
  }
}

async function compare(list: readonly Operation[]): Promise<void> {
  prefixes += 1;
  const prefix = `umbel-differential-${process.pid}-${prefixes}`;
  // The Redis factory types its backend more narrowly than the comparison needs.
  const redis = openWorld(createRedisBackend as BackendFactory, connection, prefix);
  const store = openWorld(memory(), {}, prefix);
  try {
    for (const [at, { name, run }] of list.entries()) {
      const step = `step ${at + 1}: ${name}`;
      const results = [];
      for (const world of [redis, store]) {
        await nextMillisecond();
        const outcome = await outcomeOf(() => run(world));
        results.push(normalise({ step, outcome, state: await observe(world) }));
      }
      expect(results[1]).toStrictEqual(results[0]);
    }
  } finally {
    await redis.close();
    await store.close();
    await forget(prefix);
  }
}

test(
  `memory and Redis cannot be told apart over ${LISTS} lists of operations (seed ${SEED})`,
  async () => {
    console.log(`seed ${SEED}, ${LISTS} lists (UMBEL_DIFFERENTIAL_SEED, UMBEL_DIFFERENTIAL_LISTS)`);
    await fc.assert(fc.asyncProperty(operations, compare), {
      numRuns: LISTS,
      seed: SEED,
      endOnFailure: !SHRINK,
    });
  },
  LISTS * 60_000,
);
