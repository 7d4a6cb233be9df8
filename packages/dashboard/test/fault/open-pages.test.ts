/** What many open pages ask of a Redis: as much as one page of each kind. */
import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { type Dashboard, dashboard } from '../../src/index.js';
import { Client } from '../support/client.js';

const VIEWS = ['/conditions', '/list/jobs', '/list/runs', '/queues', '/dead-letters', '/signals'];
const PAGES = 50;
const INTERVAL_MS = 15_000;

let server: RedisServer;
let redis: Redis;
let app: App;

beforeEach(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
  app = createApp({ name: 'pages', connection: server.url });
  app.task({ name: 'task', run: async () => null });
  // The clock of the pages: nothing else changes while it stands.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});

afterEach(async () => {
  vi.useRealTimers();
  await app.close();
  redis.disconnect();
  await server.stop();
});

async function commands(): Promise<number> {
  const lines = [...(await redis.info('commandstats')).matchAll(/^cmdstat_([^:|]+)[^:]*:calls=(\d+)/gm)];
  const other = /^(info|client|config|ping)$/;
  return lines.reduce((sum, [, name, calls]) => sum + (other.test(name ?? '') ? 0 : Number(calls)), 0);
}

/** Pages that read again what they show, as often as the server says. */
async function openPages(served: Dashboard, views: readonly string[]) {
  const client = new Client(served);
  const reads = vi.fn();
  const readers = await Promise.all(
    views.map(async () => {
      const { body } = await client.get('/api/changes');
      const reader = body?.getReader();
      await reader?.read(); // it listens now
      return reader;
    }),
  );
  const follow = async (view: string, index: number) => {
    const reader = readers[index];
    for (;;) {
      const part = await reader?.read();
      if (part === undefined || part.done) return;
      if (!new TextDecoder().decode(part.value).includes('data:')) continue;
      await Promise.all(['/app', '/counts', view].map((path) => client.read(path)));
      reads();
    }
  };
  const ends = views.map(follow);
  return {
    /** Lets all of them read once. */
    async tick() {
      reads.mockClear();
      vi.advanceTimersByTime(INTERVAL_MS);
      await vi.waitFor(() => expect(reads).toHaveBeenCalledTimes(views.length), { timeout: 30_000 });
    },
    async close() {
      served.close();
      await Promise.all(ends);
    },
  };
}

test('fifty pages read the store as often as one page of each kind', async () => {
  const measured = async (views: readonly string[]) => {
    const served = dashboard(app, { onAction: () => {} });
    const pages = await openPages(served, views);
    await pages.tick();
    await new Promise((resolve) => setTimeout(resolve, 1100)); // shared reads are kept for a second
    const before = await commands();
    await pages.tick();
    const count = (await commands()) - before;
    await pages.close();
    return count;
  };
  await measured(VIEWS);
  const one = await measured(VIEWS);
  const many = await measured(Array.from({ length: PAGES }, (_, index) => VIEWS[index % VIEWS.length] ?? ''));
  expect(one).toBeGreaterThan(VIEWS.length);
  // The long read of the stream of changes may begin anew meanwhile.
  expect(many).toBeLessThanOrEqual(one + 5);
  // Every 15 seconds: fewer than ten commands a second.
  expect(many).toBeLessThan(150);
});
