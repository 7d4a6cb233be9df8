import { type App, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';

const HOUR_MS = 3_600_000;
const soon = { timeout: '20s' } as const;
const apps: App[] = [];
const told: string[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  const redis = new Redis(inject('redisUrl'));
  const names = apps.map((app) => app.name);
  await Promise.all(apps.splice(0).map((app) => app.close()));
  for (const name of names) for (const key of await redis.keys(`umbel:{${name}}:*`)) await redis.del(key);
  redis.disconnect();
});

function open(name: string) {
  const warn = (message: unknown) => void told.push(String(message));
  const app = createApp({ name, connection: inject('redisUrl'), logger: { info() {}, warn, error() {} } });
  apps.push(app);
  return { app, task: app.task({ name: 'task', input: z.number(), run: async (n) => n }) };
}

/** From now on this process believes that it is so much later. */
function shiftClock(ms: number): void {
  const real = Date.now;
  vi.spyOn(Date, 'now').mockImplementation(() => real() + ms);
}

describe('a worker whose clock is wrong', () => {
  test.each([HOUR_MS, -HOUR_MS])('starts delayed jobs when they are due: %i ms', async (offset) => {
    const name = `clock-${crypto.randomUUID()}`;
    const sender = open(name);
    const later = await sender.task.applyAsync(1, { countdown: '30m' });
    const due = await sender.task.applyAsync(2, { countdown: 50 });
    told.length = 0;
    shiftClock(offset);
    const { app } = open(name);
    await app.worker().start();
    expect(await due.get(soon)).toBe(2);
    expect(await (await sender.task.delay(3)).get(soon)).toBe(3);
    expect(await later.state()).toBe('delayed');
    expect(told.join()).toContain(`is 3600 s ${offset > 0 ? 'ahead of' : 'behind'} the store's`);
  });

  test('does not take a call for expired that is not', async () => {
    const name = `clock-${crypto.randomUUID()}`;
    const result = await open(name).task.applyAsync(1, { expires: '10m' });
    shiftClock(HOUR_MS);
    await open(name).app.worker().start();
    expect(await result.get(soon)).toBe(1);
  });
});

describe('a sender whose clock is wrong', () => {
  test.each([HOUR_MS, -HOUR_MS])('delays calls as long as it says: %i ms', async (offset) => {
    const name = `clock-${crypto.randomUUID()}`;
    shiftClock(offset);
    const { task } = open(name);
    const later = await task.applyAsync(1, { countdown: '30m' });
    const due = await task.applyAsync(2, { countdown: 50 });
    vi.restoreAllMocks();
    await open(name).app.worker().start();
    expect(await due.get(soon)).toBe(2);
    expect(await later.state()).toBe('delayed');
  });
});
