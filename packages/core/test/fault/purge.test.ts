/** A queue is emptied while its store goes away, or the app that empties it. */
import { group } from '@umbel/canvas';
import { type App, ClosedError, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { callsOf } from '../../../../test/support/redis-use.js';
import { purgeIn } from '../../src/store/primitives/purge.js';
import { openStore } from '../support/open-store.js';

const soon = { timeout: '25s' } as const;
const CALLS = 1500;

describe('a purge', () => {
  let redis: RedisServer;
  const apps: App[] = [];

  beforeEach(async () => {
    redis = await startRedis(undefined, { durable: true });
  });

  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await redis.stop();
  });

  function open() {
    const logger = { info() {}, warn() {}, error() {} };
    const app = createApp({ name: 'purged', connection: redis.url, logger });
    apps.push(app);
    const ran: number[] = [];
    const mail = app.task({
      name: 'mail',
      queue: 'mail',
      input: z.object({ n: z.number() }),
      run: ({ n }) => {
        ran.push(n);
        return n;
      },
    });
    return { app, mail, ran };
  }

  /** Calls, with the members of two runs among them. */
  async function filled({ mail }: ReturnType<typeof open>) {
    const numbers = Array.from({ length: CALLS / 3 }, (_, n) => ({ n }));
    const members = () => group(numbers.slice(0, 40).map((input) => mail.s(input))).delay();
    await mail.sendMany(numbers);
    const first = await members();
    await mail.sendMany(numbers);
    const second = await members();
    await mail.sendMany(numbers);
    return [first, second];
  }

  test('goes on after a restart of the store, and keeps every step', async () => {
    const own = open();
    const runs = await filled(own);
    let restart: Promise<void> | undefined;
    const { revokedRuns, removed } = await own.app.queue('mail').purge({
      onProgress: () => {
        restart ??= redis.kill().then(() => redis.restart());
      },
    });
    expect(restart).toBeDefined();
    await restart;
    expect(revokedRuns).toBe(2);
    // A slice whose answer was lost is not counted.
    expect(removed).toBeLessThanOrEqual(CALLS);
    expect(removed).toBeGreaterThanOrEqual(CALLS - 250);
    expect(await own.app.queue('mail').counts()).toMatchObject({ waiting: 80, active: 0 });
    await own.app.worker().start();
    for (const run of runs)
      expect(await run.outcome(soon)).toMatchObject({ ok: false, error: { state: 'revoked' } });
    expect(own.ran).toEqual([]);
  });

  test('that is left off when its app closes has lost nothing of the rest', async () => {
    const closing = open();
    await filled(closing);
    let closed: Promise<void> | undefined;
    const purge = closing.app.queue('mail').purge({
      onProgress: () => {
        closed ??= closing.app.close();
      },
    });
    await expect(purge).rejects.toThrow(ClosedError);
    await closed;

    const next = open();
    const { waiting } = await next.app.queue('mail').counts();
    expect(waiting).toBeGreaterThan(80);
    const client = new Redis(redis.url);
    const ids = await client.lrange('umbel:{purged}:mail:wait', 0, -1);
    expect(new Set(ids).size).toBe(waiting);
    const held = await Promise.all(ids.map((id) => client.exists(`umbel:{purged}:mail:${id}`)));
    expect(held.every((is) => is === 1)).toBe(true);
    client.disconnect();
    expect(await next.app.queue('mail').purge()).toEqual({ removed: waiting - 80, revokedRuns: 2 });
  });

  test('takes no newer job by a slice that is repeated because its answer was lost', async () => {
    const { app, mail } = open();
    await mail.sendMany([{ n: 1 }, { n: 2 }]);
    const run = await group([mail.s({ n: 3 }), mail.s({ n: 4 })]).delay();
    const [last] = await mail.sendMany([{ n: 5 }]);
    const store = openStore('purged', redis.url);
    const on = <T>(command: (purge: NonNullable<ReturnType<typeof purgeIn>>) => Promise<T>) =>
      store.on('mail', (bull) => {
        const purge = purgeIn(bull.getBackend());
        if (purge === undefined) throw new Error('Redis has it');
        return command(purge);
      });
    const { cursor } = await on((purge) => purge.purgeStart('wait'));
    await mail.sendMany([{ n: 6 }, { n: 7 }]);
    const request = { cursor, limit: 250, settled: [], sentBy: Date.now() + 60_000 };
    const first = await on((purge) => purge.purgeSlice('wait', request));
    expect(first.removed).toBe(2);
    const again = await on((purge) => purge.purgeSlice('wait', request));
    expect(again).toEqual({ ...first, removed: 0, seen: 3 });
    expect(again.left.map(({ id }) => id)).toEqual([`${run.id}.0.0`, `${run.id}.0.1`, last?.id]);
    const rest = { ...request, limit: 0, settled: again.left.map(({ id }) => id) };
    expect(await on((purge) => purge.purgeSlice('wait', rest))).toMatchObject({ removed: 1 });
    expect(await on((purge) => purge.purgeSlice('wait', rest))).toMatchObject({ removed: 0 });
    expect(await app.queue('mail').counts()).toMatchObject({ waiting: 4 });
    await store.close();
  });

  test('looks through no list, and asks the store once for every few hundred calls', async () => {
    const { app, mail } = open();
    const client = new Redis(redis.url);
    const costs: Record<string, number>[] = [];
    for (const count of [1000, 4000]) {
      await mail.sendMany(Array.from({ length: count }, (_, n) => ({ n })));
      await group(Array.from({ length: 40 }, (_, n) => mail.s({ n }))).delay();
      await client.config('RESETSTAT');
      await app.queue('mail').purge();
      costs.push({ lrem: await callsOf(client, 'lrem'), lrange: await callsOf(client, 'lrange') });
    }
    client.disconnect();
    const [small, large] = costs;
    expect(large?.lrem).toBe(0);
    expect(large?.lrange).toBeLessThanOrEqual(5 * (small?.lrange ?? 0));
    expect(large?.lrange).toBeLessThan(40);
  });
});
