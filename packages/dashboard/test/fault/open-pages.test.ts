/** What many open pages ask of a Redis: as much as one page of each kind. */
import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { allCalls } from '../../../../test/support/redis-use.js';
import { type Dashboard, dashboard } from '../../src/index.js';
import { Client } from '../support/client.js';

const VIEWS = ['/conditions', '/list/jobs', '/list/runs', '/queues', '/dead-letters', '/signals'];
const PAGES = 50;
const INTERVAL_MS = 15_000;
/** Reads are shared for a second in any case. */
const SHARED_MS = 1100;
/** How often the commands of a tick are counted. */
const TICKS = { least: 3, most: 15 };

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

const commands = () => allCalls(redis);

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
    /** Lets all of them read once: because it is time, or after an event. */
    async tick(change = async () => void vi.advanceTimersByTime(INTERVAL_MS)) {
      reads.mockClear();
      await change();
      await vi.waitFor(() => expect(reads).toHaveBeenCalledTimes(views.length), { timeout: 30_000 });
    },
    async close() {
      served.close();
      await Promise.all(ends);
    },
  };
}

/** Number of commands after which nothing is read but what changes without an event. */
interface Measured {
  readonly changed: number;
  readonly unchanged: number;
}

test('fifty pages read the store as often as one page of each kind, and little while nothing changes', async () => {
  await app.send('task');
  /** On a busy machine the reads of many pages take longer than the second for which they are shared: then it looks again. */
  const measured = async (views: readonly string[], enough?: Measured): Promise<Measured> => {
    const served = dashboard(app, { onAction: () => {} });
    const pages = await openPages(served, views);
    await pages.tick();
    const least = async (most: number, tick: () => Promise<void>) => {
      let count = Number.POSITIVE_INFINITY;
      for (let ticks = 0; ticks < TICKS.least || (count > most && ticks < TICKS.most); ticks += 1) {
        await new Promise((resolve) => setTimeout(resolve, SHARED_MS));
        const before = await commands();
        await tick();
        count = Math.min(count, (await commands()) - before);
      }
      return count;
    };
    const { changed: mostChanged = Number.POSITIVE_INFINITY, unchanged: most = Number.POSITIVE_INFINITY } =
      enough ?? {};
    // The events of the seconds before the first page may still come.
    const unchanged = await least(most, () => pages.tick());
    const changed = await least(mostChanged, () => pages.tick(async () => void (await app.send('task'))));
    await pages.close();
    return { changed, unchanged };
  };
  await measured(VIEWS);
  const one = await measured(VIEWS);
  // The long read of the stream of changes may begin anew meanwhile.
  const limits = { changed: one.changed + 20, unchanged: one.unchanged + 5 };
  const views = Array.from({ length: PAGES }, (_, index) => VIEWS[index % VIEWS.length] ?? '');
  const many = await measured(views, limits);
  expect(one.changed).toBeGreaterThan(VIEWS.length);
  expect(many.changed).toBeLessThanOrEqual(limits.changed);
  expect(many.unchanged).toBeLessThanOrEqual(limits.unchanged);
  // Of these views, only the queues are read: what is changed there is no event.
  expect(many.unchanged).toBeLessThan(one.changed / 2);
});
