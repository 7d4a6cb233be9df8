/** An idle worker on Redis takes a delayed job when it is due: Redis itself would end the worker's wait some time later. */
import { type RedisQueueBackend, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { expect, inject, test } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';
import { startsDueJobs } from '../../src/store/engine/redis/due-jobs.js';

onEveryEngine(
  'a worker that waits for a delayed job',
  (engine) => {
    test('is woken when it is due, and another worker of the queue if that has waited longer', async () => {
      const { name } = engine.app();
      const { options, factory } = engine.connection();
      const workers = [1, 2].map(() => {
        const shared = { connection: options, prefix: `umbel:{${name}}`, autorun: false };
        return new Worker('due', null, shared, factory);
      });
      const [first, second] = workers.map(({ backend }) => backend) as [RedisQueueBackend, RedisQueueBackend];
      const redis = new Redis(inject('redisUrl'));
      try {
        await Promise.all(workers.map((worker) => worker.waitUntilReady()));
        startsDueJobs(first);
        const blocked = async () => Number(/blocked_clients:(\d+)/.exec(await redis.info('clients'))?.[1]);
        const before = await blocked();
        const longer = second.waitForJob(30);
        while ((await blocked()) <= before); // it is the first in line
        let isWoken = false;
        void longer.finally(() => {
          isWoken = true;
        });
        // Redis may end the short wait in the moment when it is due, then nothing wakes the other worker: so again.
        while (!isWoken) await first.waitForJob(0.02);
        expect(await longer).toEqual({ member: '0', score: 0 });
      } finally {
        await Promise.all(workers.map((worker) => worker.close(true)));
        await redis.quit();
      }
    });
  },
  ['redis'],
); // the other stores end the wait by a timer of the process themselves, see `waitForJob` of their backends
