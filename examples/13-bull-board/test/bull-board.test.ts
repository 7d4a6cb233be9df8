/** The board, as its page asks for it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { start } from '../../../test/support/example.js';
import { type RedisServer, startRedis } from '../../../test/support/redis-server.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

test.for(['in memory', 'on Redis'])('%s, the board shows the jobs of an app', async (where, context) => {
  const example = start(context, '13-bull-board', {
    env: { PORT: '0' },
    ...(where === 'on Redis' && { url: redis.url }),
  });
  const [address] = /http:\S+(?=\n)/.exec(await example.wrote(/http:\S+\n/)) ?? [];
  expect(await (await fetch(`${address}`)).text()).toContain('<html');

  const shown = async (status: string) => {
    const answer = await fetch(`${address}/api/queues?activeQueue=orders&status=${status}`);
    const { queues } = (await answer.json()) as {
      queues: { name: string; jobs: Record<string, unknown>[] }[];
    };
    expect(queues.map(({ name }) => name)).toEqual(['orders']);
    return queues[0]?.jobs;
  };
  expect(await shown('completed')).toEqual([
    expect.objectContaining({
      name: 'order.ship',
      data: expect.objectContaining({ input: { order: 1 } }),
      returnValue: 'order 1 is on its way',
    }),
  ]);
  const failed = await shown('failed');
  expect(failed).toEqual([expect.objectContaining({ failedReason: 'it is sold out' })]);
  const logs = await fetch(`${address}/api/queues/orders/${failed?.[0]?.id}/logs`);
  expect(await logs.json()).toEqual([expect.stringContaining('looking for it in the store')]);
});
