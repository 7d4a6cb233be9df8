/** Which apps a store holds, and what is told of workers that are gone. */
import type { App } from '@umbel/core';
import { coreOf } from '@umbel/core/internal';
import { expect, test } from 'vitest';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';

onEveryEngine('an app', (engine) => {
  test('is found by its queues, beside others, and looking makes none', async () => {
    const shop = engine.app({ queues: ['mail'] });
    const ship = engine.sameApp({ name: `${shop.name}-ship` });
    const nobody = engine.sameApp({ name: `${shop.name}-nobody` });
    await shop.task({ name: 'a', queue: 'mail', run: () => 1 }).delay();
    await ship.worker({ queues: ['default'] }).start();
    await nobody.inspect.queues();
    await nobody.inspect.workers();
    for (const app of [shop, ship, nobody]) {
      const { apps } = await app.inspect.apps();
      const own = apps.filter(({ name }) => name.startsWith(shop.name));
      expect(own.map(({ name }) => name)).toEqual([shop.name, ship.name]);
      expect(own[0]?.queues).toEqual(['mail']);
    }
  });

  test('is told of a rate limit that is used up', async () => {
    const app = engine.app();
    const a = app.task({ name: 'a', run: () => 1 });
    await app.queue('default').setRateLimit('1/h');
    await app.worker().start();
    await (await a.delay()).get({ timeout: '50s' });
    const second = await a.delay();
    const limited = async () => (await app.inspect.queues()).find(({ name }) => name === 'default');
    await expect.poll(async () => (await limited())?.limitedMs).toBeGreaterThan(3_000_000);
    expect(await second.state()).not.toBe('completed');
  });

  test('is told of jobs that a missing worker holds, until it is left out', async () => {
    const app = engine.app({ queues: ['default'] });
    const a = app.task({ name: 'a', run: () => 1 });
    await a.sendMany([undefined, undefined]);
    const { store } = coreOf(app).measured;
    const record = (ageMs: number) =>
      JSON.stringify({
        name: 'dead',
        host: 'h',
        pid: 1,
        version: '1',
        startedAt: coreOf(app).measured.clock.now() - 7_200_000,
        seenAt: coreOf(app).measured.clock.now() - ageMs,
        heartbeatMs: 1000,
        lockDurationMs: 30_000,
        queues: { default: { concurrency: 2, active: 2 } },
      });
    const write = (ageMs: number) =>
      store.on('umbel.workers', (bull) =>
        bull.getBackend().setQueueMeta({ 'worker:11111111-2222-3333-4444-555555555555': record(ageMs) }),
      );
    await write(10_000);
    const queue = async () => (await app.inspect.queues()).find(({ name }) => name === 'default');
    expect((await queue())?.lost).toBeNull(); // none runs any more
    await held(app, engine);
    expect((await queue())?.lost).toMatchObject({ jobs: 1, workers: ['dead'], freeAt: null });
    await write(3_500_000);
    expect(await app.inspect.workers()).toMatchObject([{ name: 'dead', state: 'missing' }]);
    await write(3_700_000);
    expect(await app.inspect.workers()).toEqual([]);
    expect((await app.inspect.queues()).map(({ name }) => name)).toContain('default');
  });
});

/** Takes one of the jobs, as a worker would that is killed then. */
async function held(app: App, engine: Engine): Promise<void> {
  await engine.bareWorker('default').getNextJob('token', { block: false });
  expect((await app.jobs.counts()).total.active).toBe(1);
}
