import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type App, createApp } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { quickly } from '../../../../test/support/quick-packages.js';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';

const soon = { timeout: '50s' } as const;
const within = { timeout: 20_000 };
const APP = 'directed';
const program = quickly(fileURLToPath(new URL('./control/worker.mjs', import.meta.url)));

describe('workers in processes of their own', () => {
  let redis: RedisServer;
  const apps: App[] = [];
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    redis = await startRedis();
  });

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await redis.stop();
  });

  function open() {
    const app = createApp({ name: APP, connection: redis.url, logger: { info() {}, warn() {}, error() {} } });
    apps.push(app);
    const wait = app.defineTask({ name: 'wait', queue: 'slow' });
    const quick = app.defineTask({ name: 'quick' });
    return { app, wait, quick };
  }

  async function start(name: string): Promise<ChildProcess> {
    const child = fork(program, [APP, redis.url, name], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    children.push(child);
    await once(child, 'message');
    return child;
  }

  test('one that is frozen is missing, the others answer, and what it was told is not obeyed later', async () => {
    const [one] = [await start('one'), await start('two')];
    const { app } = open();
    expect(Object.keys((await app.inspect.ping(soon)).answers)).toEqual(['one', 'two']);
    one.kill('SIGSTOP');
    const { answers, missing } = await app.inspect.stats({ timeout: 500 });
    expect(Object.keys(answers)).toEqual(['two']);
    expect(missing).toEqual(['one']);
    const startedAt = performance.now();
    const order = await app.control.shutdown({ workers: 'one', timeout: 200 });
    expect(order).toEqual({ answers: {}, errors: {}, missing: ['one'] });
    await vi.waitFor(
      async () => expect((await app.inspect.workers())[0]).toMatchObject({ name: 'one', state: 'missing' }),
      within,
    );
    // Orders hold for two seconds longer than they are waited for, since clocks differ.
    await vi.waitFor(() => expect(performance.now() - startedAt).toBeGreaterThan(2500), within);
    one.kill('SIGCONT');
    await vi.waitFor(
      async () => expect((await app.inspect.workers())[0]).toMatchObject({ name: 'one', state: 'online' }),
      within,
    );
    expect(Object.keys((await app.inspect.ping(soon)).answers)).toEqual(['one', 'two']);
    expect(one.exitCode).toBeNull();
  });

  test('one that is killed is missing after three times its heartbeat, and not asked any more', async () => {
    const [one] = [await start('one'), await start('two')];
    const { app } = open();
    one.kill('SIGKILL');
    const killedAt = performance.now();
    await vi.waitFor(
      async () =>
        expect((await app.inspect.workers()).map(({ name, state }) => [name, state])).toEqual([
          ['one', 'missing'],
          ['two', 'online'],
        ]),
      { ...within, interval: 20 },
    );
    expect(performance.now() - killedAt).toBeLessThan(50_000);
    const askedAt = performance.now();
    const { answers, missing } = await app.inspect.ping({ timeout: '100s' });
    expect(performance.now() - askedAt).toBeLessThan(50_000);
    expect([Object.keys(answers), missing]).toEqual([['two'], ['one']]);
    expect((await app.inspect.queues()).find(({ name }) => name === 'slow')?.workers).toEqual(['two']);
  });

  test('one that is told to shut down ends its process by itself, with 0; the other goes on', async () => {
    const [one] = [await start('one'), await start('two')];
    const { app, quick } = open();
    const exited = once(one, 'exit');
    const { answers } = await app.control.shutdown({ workers: 'one', ...soon });
    expect(answers).toEqual({ one: { active: 0 } });
    expect(await exited).toEqual([0, null]);
    expect((await app.inspect.workers()).map(({ name }) => name)).toEqual(['two']);
    const pid = await (await quick.delay()).get(soon);
    expect(pid).toBe(children[1]?.pid);
  });

  test('come back, and obey, when their store was away and has lost everything', async () => {
    const one = await start('one');
    const { app, wait } = open();
    expect(Object.keys((await app.inspect.ping(soon)).answers)).toEqual(['one']);
    await redis.kill();
    await redis.restart();
    await vi.waitFor(
      async () => expect((await app.inspect.workers()).map(({ state }) => state)).toEqual(['online']),
      within,
    );
    await vi.waitFor(
      async () => expect(Object.keys((await app.inspect.ping()).answers)).toEqual(['one']),
      within,
    );
    const result = await wait.delay();
    await vi.waitFor(async () => expect(await result.state()).toBe('active'), within);
    expect((await app.inspect.active(soon)).answers.one).toMatchObject([{ id: result.id, queue: 'slow' }]);
    await app.control.terminate(result.id);
    await expect(result.get(soon)).rejects.toThrow('revoked');
    expect(one.exitCode).toBeNull();
  });
});
