/** W5, W19: events wake those who wait, and what is stored decides. */
import { type Connection, createApp } from '@umbel/core';
import { type BackendFactory, createRedisBackend, type IQueueBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, inject, test } from 'vitest';
import { memory } from '../../../../test/engines.js';

/** The store, of which no event ever arrives. */
const deaf =
  (factory: BackendFactory<IQueueBackend>, url?: string): Connection =>
  (name, options, more) => {
    const connection = url === undefined ? options.connection : { url };
    const backend = factory(name, { ...options, connection }, more);
    backend.readEvents = () => new Promise(() => {});
    return backend;
  };

describe.each(['memory', 'redis'])('on %s', (engine) => {
  test('a result arrives within five seconds though no event does', async () => {
    const name = `deaf-${crypto.randomUUID()}`;
    const connection =
      engine === 'memory'
        ? deaf(memory() as BackendFactory<IQueueBackend>)
        : deaf(createRedisBackend, inject('redisUrl'));
    const app = createApp({ name, connection, logger: { info() {}, warn() {}, error() {} } });
    let finish = () => {};
    const task = app.task({
      name: 'task',
      run: () => new Promise<number>((resolve) => (finish = () => resolve(performance.now()))),
    });
    await app.worker().start();
    const getting = (await task.delay()).get({ timeout: '50s' });
    await new Promise((resolve) => setTimeout(resolve, 6000)); // by now it is asked as rarely as it ever is
    finish();
    const finishedAt = await getting;
    expect(performance.now() - finishedAt).toBeLessThan(30_000);
    void app.close();
    if (engine === 'redis') {
      const redis = new Redis(inject('redisUrl'));
      for (const key of await redis.keys(`umbel:{${name}}:*`)) await redis.del(key);
      redis.disconnect();
    }
  });
});
