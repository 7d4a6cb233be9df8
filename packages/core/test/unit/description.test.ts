import { createApp, defineTask, isApp } from '@umbel/core';
import { setProcessDefaults } from '@umbel/core/internal';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { memory } from '../../../../test/engines.js';

describe('an app', () => {
  test('describes its tasks and queues', () => {
    const app = createApp({ name: 'shop', routes: { 'mail.*': 'mail' } });
    app.task({ name: 'order.pay', queue: 'orders', run: () => null });
    app.bind(defineTask({ name: 'mail.send' }));
    expect(app.describe()).toEqual({
      name: 'shop',
      prefix: 'umbel:{shop}',
      store: { kind: 'redis', address: 'redis://127.0.0.1:6379', isInMemory: false },
      searchIndex: false,
      queues: ['default', 'mail', 'orders'],
      tasks: [
        { name: 'mail.send', queue: 'mail', hasHandler: false },
        { name: 'order.pay', queue: 'orders', hasHandler: true },
      ],
    });
  });

  test.each([
    ['redis://user:secret@db.example:6380/2', 'redis://***@db.example:6380/2'],
    ['rediss://:p%40ss@db.example', 'rediss://***@db.example'],
    [{ host: 'db.example', port: 6380, password: 'secret', db: 3 }, 'redis://db.example:6380/3'],
    [{ host: 'db.example', tls: {} }, 'rediss://db.example:6379'],
    [{ path: '/run/redis.sock' }, '/run/redis.sock'],
  ])('shows where its store is, without secrets: %j', (connection, address) => {
    expect(createApp({ name: 'shop', connection }).describe().store).toEqual({
      kind: 'redis',
      address,
      isInMemory: false,
    });
  });

  test('with a store of another kind says so', () => {
    expect(createApp({ name: 'shop', connection: memory() }).describe().store).toMatchObject({
      kind: 'memory',
      isInMemory: true,
    });
  });

  test('is known for one, as also one of another copy of the package', () => {
    expect(isApp(createApp({ name: 'shop' }))).toBe(true);
    expect(isApp({ [Symbol.for('umbel.app')]: true })).toBe(true);
    for (const other of [undefined, null, 'app', {}, () => {}]) expect(isApp(other)).toBe(false);
  });
});

describe('defaults of the process', () => {
  afterEach(() => {
    setProcessDefaults({});
    vi.unstubAllEnvs();
  });

  test('are the store of an app that names none, unless the environment does', () => {
    vi.stubEnv('UMBEL_URL', '');
    setProcessDefaults({ connection: memory() });
    expect(createApp({ name: 'shop' }).describe().store.kind).toBe('memory');
    expect(createApp({ name: 'shop', connection: 'redis://a' }).describe().store.kind).toBe('redis');
    vi.stubEnv('UMBEL_URL', 'redis://b.example');
    expect(createApp({ name: 'shop' }).describe().store.address).toBe('redis://b.example');
  });

  test('are the logger of an app that has none, also one that was made before', async () => {
    const app = createApp({ name: 'shop', connection: memory() });
    const warn = vi.fn();
    setProcessDefaults({ logger: { info() {}, warn, error() {} } });
    await app.worker({ handleSignals: false }).start();
    await app.close();
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('serves no queue'));
  });
});
