import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { testApp } from '@umbel/testing';
import { expect, test } from 'vitest';
import { z } from 'zod';

test('a schedule fires its slots as time is moved, and not before it is started', async () => {
  const app = createApp({ name: 'schedules' });
  const seen: [string, unknown][] = [];
  const report = app.task({
    name: 'report',
    input: z.object({ to: z.string() }),
    run: async ({ to }, ctx) => {
      seen.push([to, ctx.headers]);
      return to;
    },
  });
  const shout = app.task({ name: 'shout', input: z.string(), run: async (text) => text.toUpperCase() });
  const nightly = app.schedule('nightly', { cron: '0 3 * * *', tz: 'Europe/Zurich' }, report.s({ to: 'a' }));
  app.schedule('poll', { every: '5m' }, chain(report.s({ to: 'b' }), shout));
  await using t = await testApp(app);
  await t.advance('2d');
  expect(seen).toEqual([]);
  expect(await t.startSchedules()).toEqual({
    added: ['nightly', 'poll'],
    changed: [],
    unchanged: [],
    removed: [],
    undeclared: [],
  });
  await t.advance('1d');
  expect(seen.filter(([to]) => to === 'a')).toEqual([
    ['a', { 'umbel-schedule': 'nightly', 'umbel-scheduled-at': '2030-01-03T02:00:00.000Z' }],
  ]);
  expect(seen.filter(([to]) => to === 'b')).toHaveLength(288);
  expect(await nightly.info()).toMatchObject({ state: 'active' });
});
