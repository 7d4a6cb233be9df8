/** An app asks little of Redis when it opens, and less if the process has used the server before. */
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';

const quiet = { info() {}, warn() {}, error() {} };
let server: RedisServer;
let admin: Redis;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
});

afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

afterEach(() => vi.restoreAllMocks());

/** Opens an app, runs one job and closes it. Returns what that asked of the server. */
async function useApp(name: string): Promise<Record<'connections' | 'infos' | 'texts' | 'unknown', number>> {
  await admin.config('RESETSTAT');
  const warn = vi.spyOn(console, 'warn'); // BullMQ warns of what it does not like in the answer about the server
  const app = createApp({ name, connection: server.url, logger: quiet });
  const double = app.task({ name: 'double', run: async () => 4 });
  await app.worker().start();
  expect(await (await double.delay()).get({ timeout: '50s' })).toBe(4);
  await app.close();
  expect(warn.mock.calls).toEqual([]);
  const [stats, commands, errors] = [
    await admin.info('stats'),
    await admin.info('commandstats'),
    await admin.info('errorstats'),
  ];
  const number = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  return {
    connections: number(stats, /^total_connections_received:(\d+)/m),
    infos: number(commands, /^cmdstat_info:calls=(\d+)/m) - 1, // without the one before
    texts: number(commands, /^cmdstat_eval:calls=(\d+)/m),
    unknown: number(errors, /^errorstat_NOSCRIPT:count=(\d+)/m),
  };
}

test('an app asks for the state of the server once for many connections, and sends a script once to a server', async () => {
  const first = await useApp('first');
  expect(first.texts).toBeGreaterThan(3);
  const second = await useApp('second');
  expect(second.texts).toBe(0);
  for (const { connections, infos, unknown } of [first, second]) {
    expect(unknown).toBe(0);
    expect(connections).toBe(7);
    expect(infos).toBeLessThan(2 * connections); // ioredis and BullMQ ask once each on every connection
  }
});

test('an app sends its scripts again to a server that has restarted', async () => {
  await server.kill();
  await server.restart();
  const again = await useApp('again');
  expect(again.texts).toBeGreaterThan(3);
  expect(again.unknown).toBe(0);
});
