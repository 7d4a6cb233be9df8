import { type App, createApp, type ScheduleOptions } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ShiftedTime } from '../support/shifted-time.js';

/** A whole store and all its processes live in the hours in which clocks are shifted. */
let time: ShiftedTime;
const apps: App[] = [];
const soon = { timeout: 20_000, interval: 20 };

beforeEach(async () => {
  time = await ShiftedTime.start();
});

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await time.stop();
});

/** A program whose schedules fire one task, which notes the slots. */
function program(schedules: Readonly<Record<string, ScheduleOptions>>) {
  const warnings: string[] = [];
  const app = createApp({
    name: 'shifts',
    connection: time.url,
    logger: { info() {}, warn: (message) => void warnings.push(String(message)), error() {} },
  });
  apps.push(app);
  const seen: string[] = [];
  const tick = app.task({
    name: 'tick',
    run: async (_, { headers }) => {
      seen.push(`${headers['umbel-schedule']} ${headers['umbel-scheduled-at']}`);
      return null;
    },
  });
  for (const [name, options] of Object.entries(schedules)) app.schedule(name, options, tick);
  return { app, seen, warnings, of: (name: string) => seen.filter((each) => each.startsWith(`${name} `)) };
}

/** How many commands the store has executed. */
async function commands(): Promise<number> {
  const redis = new Redis(time.directUrl);
  try {
    return Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))?.[1]);
  } finally {
    redis.disconnect();
  }
}

const often = { every: '1s', overlap: 'allow' } as const;

test.each([
  // Two seconds before midnight, the first of two; the second one comes an hour later.
  ['America/Havana', '0 0 * * *', '2026-11-01T04:00:00.000Z'],
  // Midnight is skipped.
  ['Africa/Cairo', '0 0 * * *', '2026-04-23T22:00:00.000Z'],
  // 03:45 is 02:45 again, ten minutes ago.
  ['Pacific/Chatham', '*/10 * * * *', '2026-04-04T13:55:00.000Z'],
])('in %s, `%s` is fired at the moment, and the worker is at rest after it', async (tz, cron, slot) => {
  time.set(Date.parse(slot) - 3_600_000);
  const { app, seen, of, warnings } = program({ nightly: { cron, tz, catchUp: 'skip' }, often });
  await app.schedules.sync();
  time.set(Date.parse(slot) - 2000);
  await app.worker().start();
  await vi.waitFor(() => expect(of('nightly')).toEqual([`nightly ${slot}`]), soon);
  // Three turns of another schedule: a worker that looks again and again sends thousands of commands in each.
  const [before, passed] = [await commands(), seen.length];
  await vi.waitFor(() => expect(seen.length).toBeGreaterThanOrEqual(passed + 3), soon);
  expect((await commands()) - before).toBeLessThan(1000);
  expect(of('nightly')).toHaveLength(1);
  expect(time.told).toBeGreaterThan(0);
  expect(warnings.join()).not.toContain('clock of this machine');
});

test('a slot whose time comes twice is fired once, though the worker was away', async () => {
  const nightly = { cron: '30 2 * * *', tz: 'Europe/Berlin', catchUp: 'all', overlap: 'allow' } as const;
  time.set(Date.parse('2026-10-24T22:00Z'));
  const first = program({ nightly });
  await first.app.schedules.sync();
  await first.app.close();
  apps.splice(0);

  // After the second 02:30.
  time.set(Date.parse('2026-10-25T01:45Z'));
  const second = program({ nightly, often });
  await second.app.worker().start();
  await vi.waitFor(() => expect(second.of('nightly')).toEqual(['nightly 2026-10-25T00:30:00.000Z']), soon);
  const passed = second.of('often').length;
  await vi.waitFor(() => expect(second.of('often').length).toBeGreaterThanOrEqual(passed + 2), soon);
  expect(second.of('nightly')).toHaveLength(1);
  expect(await second.app.schedules.get('nightly').next(1)).toEqual([new Date('2026-10-26T01:30Z')]);
});
