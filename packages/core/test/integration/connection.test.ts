import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { ConnectionError, createApp } from '@umbel/core';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, inject, test } from 'vitest';
import { z } from 'zod';
import { memory } from '../../../../test/engines.js';

const quiet = { info() {}, warn() {}, error() {} };

/** An address on this machine that nothing listens on. */
async function closedPort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('a connection', () => {
  test('is not opened before the first call', async () => {
    const { hostname, port } = new URL(inject('redisUrl'));
    let opened = 0;
    const front = createServer((socket) => {
      opened += 1;
      const behind = connect(Number(port), hostname);
      socket.pipe(behind).pipe(socket);
      for (const end of [socket, behind]) end.on('error', () => {});
    }).listen(0, '127.0.0.1');
    await once(front, 'listening');
    const at = (front.address() as AddressInfo).port;

    const open = (name: string) => {
      const app = createApp({ name, connection: `redis://127.0.0.1:${at}`, logger: quiet });
      const tick = app.task({ name: 'tick', run: async () => 1 });
      tick.s();
      app.worker();
      return { app, tick };
    };
    const silent = open('silent');
    const calling = open('calling');
    // Whatever the silent one had begun to open would have come before this call has its answer.
    await calling.tick.delay();
    expect(opened).toBe(1);
    await silent.app.close();
    expect(opened).toBe(1);
    await calling.app.close();
    front.close();
  });

  test('that cannot be opened rejects the call with the reason', async () => {
    const errors: string[] = [];
    const app = createApp({
      name: 'closed',
      connection: `redis://127.0.0.1:${await closedPort()}`,
      logger: { info() {}, warn() {}, error: (message) => errors.push(message) },
    });
    const tick = app.task({ name: 'tick', run: async () => 1 });
    const error = await tick.delay().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(String(error)).toContain('Is the store running at redis:');
    expect(String(error)).toContain('ECONNREFUSED');
    expect(errors[0]).toContain('umbel "closed"');
    await app.close();
  });

  test.each([['a URL'], ['BullMQ’s options'], ['an ioredis instance']])('can be %s', async (kind) => {
    const url = new URL(inject('redisUrl'));
    const instance = kind.includes('instance')
      ? new Redis(url.href, { maxRetriesPerRequest: null })
      : undefined;
    const options = { host: url.hostname, port: Number(url.port) };
    const app = createApp({
      name: `connection-${kind.length}`,
      connection: instance ?? (kind === 'a URL' ? url.href : options),
    });
    const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
    await app.worker().start();
    const events = app.events();
    expect(await (await double.delay(4)).get({ timeout: '50s' })).toBe(8);
    for await (const { type } of events) if (type === 'completed') break;
    expect(await (await double.delay(5)).get({ timeout: '50s' })).toBe(10);
    await app.close();
    expect(await instance?.ping()).toBe(instance && 'PONG');
    instance?.disconnect();
  });

  test('that stops answering does not hold a get() past its timeout', async () => {
    const backends = memory();
    const silent: BackendFactory = (...args) => {
      const backend = backends(...args);
      const { forQueue } = backend;
      const never = () => new Promise<never>(() => {});
      const mute = (one: IQueueBackend) => Object.assign(one, { isFinished: never, getState: never });
      return Object.assign(backend, {
        forQueue: (name: string, prefix?: string) => mute(forQueue.call(backend, name, prefix)),
      });
    };
    const app = createApp({ name: 'silent', connection: silent });
    const tick = app.task({ name: 'tick', run: async () => 1 });
    const result = await tick.delay();
    const startedAt = performance.now();
    const error = await result.get({ timeout: 50 }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'TimeoutError', state: 'unknown' });
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    await app.close();
  });

  test('is taken from UMBEL_URL when none is given', async () => {
    const before = process.env.UMBEL_URL;
    process.env.UMBEL_URL = 'ftp://nowhere';
    try {
      expect(() => createApp({ name: 'env' })).toThrow('got "ftp://nowhere"');
    } finally {
      if (before === undefined) delete process.env.UMBEL_URL;
      else process.env.UMBEL_URL = before;
    }
  });
});
