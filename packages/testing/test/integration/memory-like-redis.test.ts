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
import { searchSeed, sized } from '../../../../test/support/length.js';
import { batchesCommands } from '../../../core/src/store/engine/redis/batching/batched-backend.js';
import { memory } from '../../src/memory/index.js';
import { normalise, observe, outcomeOf } from '../support/differential/observation.js';
import { type Operation, operations } from '../support/differential/operation.js';
import { nextMillisecond, openWorld, QUEUES, take } from '../support/differential/world.js';

const LISTS = Number(process.env.UMBEL_DIFFERENTIAL_LISTS ?? sized(6, 100));
// Finding the shortest list that fails takes minutes, so it has to be asked for.
const SHRINK = process.env.UMBEL_DIFFERENTIAL_SHRINK !== undefined;
const SEED = searchSeed(process.env.UMBEL_DIFFERENTIAL_SEED, 75_898_111);

const { hostname, port, username, password } = new URL(inject('redisUrl'));
const connection: ConnectionOptions = {
  host: hostname,
  port: Number(port || 6379),
  maxRetriesPerRequest: null,
  ...(username ? { username } : {}),
  ...(password ? { password } : {}),
};

let prefixes = 0;

/** The database of the stores that share commands, so that all stores have the same keys. */
const BATCHED = { ...connection, db: 1 };

/** BullMQ's backend, with commands that several calls share and that tell more about a claimed job. */
const createBatchedBackend: BackendFactory = (...args) => {
  const backend = createRedisBackend(...args);
  batchesCommands(backend);
  return backend;
};

async function forget(connection: ConnectionOptions, prefix: string): Promise<void> {
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
  const batched = openWorld(createBatchedBackend, BATCHED, prefix);
  const store = openWorld(memory(), {}, prefix);
  try {
    for (const [at, { name, run }] of list.entries()) {
      const step = `step ${at + 1}: ${name}`;
      const results = [];
      for (const world of [redis, batched, store]) {
        await nextMillisecond();
        const outcome = await outcomeOf(() => run(world));
        results.push(normalise({ step, outcome, state: await observe(world) }));
      }
      expect(results[1]).toStrictEqual(results[0]);
      expect(results[2]).toStrictEqual(results[0]);
    }
  } finally {
    for (const world of [redis, batched, store]) await world.close();
    await forget(connection, prefix);
    await forget(BATCHED, prefix);
  }
}

test(
  `memory, Redis and Redis with shared commands cannot be told apart over ${LISTS} lists of operations (seed ${SEED})`,
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

test('a removal does not release a parent whose id has colons, as ids of scheduler jobs do', async () => {
  const step = (name: string, run: Operation['run']): Operation => ({
    name,
    input: undefined,
    run,
    [fc.toStringMethod]: () => name,
  });
  await compare([
    step('schedule', async ({ queues: [queue] }) => {
      await queue?.upsertJobScheduler('t', { every: 3_600_000 });
    }),
    step('take', async (world) => {
      const [worker] = world.workers;
      if (worker) await take(world, worker);
    }),
    step('add a child', async ({ jobs: [parent], queues: [queue] }) => {
      const link = { id: parent?.id ?? '', queue: parent?.queueQualifiedName ?? '' };
      await queue?.add('late', {}, { parent: link, jobId: 'l', timestamp: 1 });
    }),
    step('wait', async ({ held: [claim] }) => claim?.job.moveToWaitingChildren(claim.token)),
    step('remove the child', async ({ jobs: [parent] }) => parent?.removeUnprocessedChildren()),
    step('state', async ({ jobs: [parent] }) => {
      expect(await parent?.getState()).toBe('waiting-children');
    }),
  ]);
});
