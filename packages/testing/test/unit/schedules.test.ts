import { chain } from '@umbel/canvas';
import { createApp, type Middleware } from '@umbel/core';
import { NothingLeftError, testApp } from '@umbel/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';

function setup() {
  const app = createApp({ name: 'schedules' });
  const seen: string[] = [];
  const report = app.task({
    name: 'report',
    input: z.object({ to: z.string() }),
    run: async ({ to }, { headers }) => {
      seen.push(`${headers['umbel-schedule'] ?? 'none'} ${to} ${headers['umbel-scheduled-at'] ?? ''}`.trim());
      return to;
    },
  });
  const shout = app.task({ name: 'shout', input: z.string(), run: async (text) => text.toUpperCase() });
  return { app, seen, report, shout };
}

test('a schedule fires its slots as time is moved, and not before it is started', async () => {
  const { app, seen, report, shout } = setup();
  const nightly = app.schedule('nightly', { cron: '0 3 * * *', tz: 'Europe/Zurich' }, report.s({ to: 'a' }));
  app.schedule('poll', { every: '5m' }, chain(report.s({ to: 'b' }), shout));
  await using t = await testApp(app);
  await t.advance('2d');
  expect(seen).toEqual([]);
  const nothing = { changed: [], unchanged: [], removed: [], undeclared: [] };
  expect(await t.startSchedules()).toEqual({ added: ['nightly', 'poll'], ...nothing });
  await t.advance('3h');
  expect(seen.filter((line) => line.startsWith('nightly'))).toEqual(['nightly a 2030-01-03T02:00:00.000Z']);
  expect(seen.filter((line) => line.startsWith('poll'))).toHaveLength(36);
  expect(t.attempts.filter(({ task }) => task === 'shout')).toHaveLength(36);
  const { runs, next } = await nightly.info();
  expect(runs).toMatchObject([
    { outcome: 'fired', state: 'completed', at: new Date('2030-01-03T02:00:00.000Z') },
  ]);
  expect(next[0]).toEqual(new Date('2030-01-04T02:00:00.000Z'));
});

test('the app’s own sync starts them too', async () => {
  const { app, seen, report } = setup();
  app.schedule('daily', { cron: '@daily' }, report.s({ to: 'a' }));
  await using t = await testApp(app);
  expect(await app.schedules.sync()).toMatchObject({ added: ['daily'] });
  await t.advance('1d');
  expect(seen).toEqual(['daily a 2030-01-02T00:00:00.000Z']);
});

test('a slot is no reason why time passes: what waits for an end finds one', async () => {
  const { app, seen, report, shout } = setup();
  app.schedule('hourly', { every: '1h' }, report.s({ to: 'a' }));
  await using t = await testApp(app);
  await t.startSchedules();
  await t.runUntilIdle();
  expect(seen).toEqual([]);
  expect(t.now).toEqual(new Date('2030-01-01T00:00:00Z'));
  expect(await t.next()).toBeUndefined();
  expect(await t.run(shout, 'x')).toBe('X');
  expect(seen).toEqual([]);
});

test('slots that time comes by are fired on the way to what it passes for', async () => {
  const { app, seen, report, shout } = setup();
  app.schedule('hourly', { every: '1h' }, report.s({ to: 'a' }));
  await using t = await testApp(app);
  await t.startSchedules();
  const later = await shout.applyAsync('x', { countdown: '150m' });
  expect(await later.get()).toBe('X');
  expect(seen).toEqual(['hourly a 2030-01-01T01:00:00.000Z', 'hourly a 2030-01-01T02:00:00.000Z']);
  await shout.applyAsync('y', { countdown: '1h' });
  await t.runUntilIdle();
  expect(seen).toHaveLength(3);
  expect(t.now).toEqual(new Date('2030-01-01T03:30:00Z'));
});

test('a result that nothing brings is told, although a schedule goes on', async () => {
  const { app, report } = setup();
  const never = app.defineTask({ name: 'never', queue: 'other' });
  app.schedule('hourly', { every: '1h' }, report.s({ to: 'a' }));
  await using t = await testApp(app);
  await t.startSchedules();
  await app.queue('other').pause();
  const result = await never.delay();
  await expect(result.get()).rejects.toThrow(NothingLeftError);
});

test('runs that take longer than the time between slots are queued, skipped or replaced', async () => {
  const app = createApp({ name: 'overlaps' });
  const ended: string[] = [];
  const slow = app.task({
    name: 'slow',
    run: async (_, ctx) => {
      const slot = ctx.headers['umbel-scheduled-at']?.slice(11, 16);
      await ctx.sleep('25m');
      ended.push(
        `${ctx.headers['umbel-schedule']} ${slot} ${new Date(ctx.now()).toISOString().slice(11, 16)}`,
      );
      return null;
    },
  });
  const end = new Date('2030-01-01T00:40:00Z');
  app.schedule('skip', { every: '10m', end }, slow);
  app.schedule('queue', { every: '10m', end, overlap: 'queue' }, slow);
  app.schedule('replace', { every: '10m', end, overlap: 'replace' }, slow);
  app.schedule('allow', { every: '10m', end, overlap: 'allow' }, slow);
  await using t = await testApp(app);
  await t.startSchedules();
  await t.advance('3h');
  const of = (name: string) =>
    ended.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length + 1));
  expect(of('skip')).toEqual(['00:10 00:35', '00:40 01:05']);
  expect(of('replace')).toEqual(['00:40 01:05']);
  expect(of('allow')).toEqual(['00:10 00:35', '00:20 00:45', '00:30 00:55', '00:40 01:05']);
  const queued = of('queue');
  expect(queued.map((line) => line.slice(0, 5))).toEqual(['00:10', '00:20', '00:30', '00:40']);
  // Started within a minute of the end before.
  const minutes = queued.map((line) => Number(line.slice(6, 8)) * 60 + Number(line.slice(9)));
  for (const [index, minute] of minutes.entries()) {
    const least = index === 0 ? 35 : (minutes[index - 1] ?? 0) + 25;
    expect(minute - least).toBeGreaterThanOrEqual(0);
    expect(minute - least).toBeLessThanOrEqual(1);
  }
  expect((await app.schedules.list()).map(({ state }) => state)).toEqual([
    'ended',
    'ended',
    'ended',
    'ended',
  ]);
});

test('a pause has no slots, and a schedule may be changed while time stands still', async () => {
  const { app, seen, report } = setup();
  const schedule = app.schedule(
    'hourly',
    { every: '1h', catchUp: 'all', overlap: 'allow' },
    report.s({ to: 'a' }),
  );
  await using t = await testApp(app);
  await t.startSchedules();
  await t.advance('1h');
  await schedule.pause();
  await t.advance('10d');
  expect(seen).toHaveLength(1);
  expect(await schedule.next(1)).toEqual([new Date('2030-01-11T02:00:00Z')]);
  await schedule.resume();
  await t.advance('1h');
  expect(seen).toEqual(['hourly a 2030-01-01T01:00:00.000Z', 'hourly a 2030-01-11T02:00:00.000Z']);
  await schedule.remove();
  await t.advance('1d');
  expect(seen).toHaveLength(2);
});

test('a worker that dies in a run does not keep its schedule from the next slot', async () => {
  const { app, seen, report } = setup();
  app.schedule('often', { every: '10s', overlap: 'allow' }, report.s({ to: 'a' }));
  await using t = await testApp(app);
  await t.startSchedules();
  t.crashWorker({ at: 'after-handler', task: report });
  await t.advance('2m');
  const slots = seen.map((line) => line.slice(-24));
  expect([...new Set(slots)]).toHaveLength(12);
  expect(slots).toHaveLength(13); // the run that was lost ran again
});

test('what is sent for a slot goes through the middleware, and expires by its own time', async () => {
  const calls: unknown[] = [];
  const layer: Middleware = {
    async send(call, next) {
      calls.push([call.task, call.input]);
      if (call.input === 'no') throw new Error('not today');
      call.headers.trace = 't1';
      return next();
    },
  };
  const app = createApp({ name: 'middleware', middleware: [layer] });
  const seen: unknown[] = [];
  const say = app.task({
    name: 'say',
    input: z.string(),
    expires: '1s',
    run: async (text, { headers }) => void seen.push([text, headers.trace, headers['umbel-schedule']]),
  });
  app.schedule('yes', { every: '1h' }, say.si('yes'));
  const no = app.schedule('no', { every: '1h' }, say.si('no'));
  await using t = await testApp(app);
  await t.startSchedules();
  await t.advance('2h');
  expect(seen).toEqual([
    ['yes', 't1', 'yes'],
    ['yes', 't1', 'yes'],
  ]);
  expect(calls).toHaveLength(4);
  const { state, runs } = await no.info();
  expect(state).toBe('active');
  expect(runs).toMatchObject([
    { outcome: 'failed', error: { message: 'not today' } },
    { outcome: 'failed', error: { message: 'not today' } },
  ]);
  expect(runs[0]).not.toHaveProperty('id');
});

test('jitter delays what is fired, and not the slot that it is told', async () => {
  const app = createApp({ name: 'jitter' });
  const delays: number[] = [];
  const tick = app.task({
    name: 'tick',
    run: async (_, ctx) => void delays.push(ctx.now() - Date.parse(ctx.headers['umbel-scheduled-at'] ?? '')),
  });
  app.schedule('tick', { every: '1h', jitter: '10m' }, tick);
  await using t = await testApp(app);
  await t.startSchedules();
  await t.advance('24h');
  expect(delays.length).toBeGreaterThanOrEqual(23);
  expect(new Set(delays).size).toBe(delays.length);
  for (const delay of delays) {
    expect(delay).toBeGreaterThanOrEqual(0);
    expect(delay).toBeLessThanOrEqual(600_000);
  }
});

test('where the clocks are shifted at midnight, each night has its slot, and each hour', async () => {
  const slotsOf = async (tz: string, now: string, length: '2d' | '3d', cron: string) => {
    const { app, seen, report } = setup();
    app.schedule('nightly', { cron, tz }, report.s({ to: 'a' }));
    await using t = await testApp(app, { now: new Date(now) });
    await t.startSchedules();
    await t.advance(length);
    return seen.map((line) => line.slice(-24, -8));
  };
  // 00:00 is 01:00
  expect(await slotsOf('Africa/Cairo', '2026-04-22T12:00Z', '3d', '0 0 * * *')).toEqual([
    '2026-04-22T22:00',
    '2026-04-23T22:00',
    '2026-04-24T21:00',
  ]);
  // 01:00 is 00:00 again
  expect(await slotsOf('America/Havana', '2026-10-31T12:00Z', '2d', '@daily')).toEqual([
    '2026-11-01T04:00',
    '2026-11-02T05:00',
  ]);
  const hourly = await slotsOf('America/Havana', '2026-10-31T12:00Z', '2d', '0 * * * *');
  expect(hourly).toHaveLength(48);
  // 02:45 comes twice, and with it all minutes of the hour
  expect(await slotsOf('Pacific/Chatham', '2026-04-04T00:00Z', '2d', '*/10 * * * *')).toHaveLength(288);
});

test('schedules are fired once in the hour that comes twice, also after a pause of the worker', async () => {
  const { app, seen, report } = setup();
  const berlin = { cron: '30 2 * * *', tz: 'Europe/Berlin', catchUp: 'all', overlap: 'allow' } as const;
  app.schedule('nightly', berlin, report.s({ to: 'a' }));
  await using t = await testApp(app, { now: new Date('2026-10-24T22:00Z') });
  await t.startSchedules();
  await app.queue('umbel').pause();
  await t.advance('225m');
  expect(seen).toEqual([]);
  await app.queue('umbel').resume();
  await t.advance('1d');
  expect(seen.map((line) => line.slice(-24))).toEqual([
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
  ]);
});
