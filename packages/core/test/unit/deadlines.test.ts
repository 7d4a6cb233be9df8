import { expect, test } from 'vitest';
import { Deadlines } from '../../src/bullmq/deadlines.js';

test('each expires at its time, in order, and not if it was cleared before', async () => {
  const deadlines = new Deadlines();
  const told: string[] = [];
  const cleared = deadlines.set(5, () => told.push('cleared'));
  const last = new Promise<void>((resolve) => {
    deadlines.set(40, () => {
      told.push('late');
      resolve();
    });
  });
  deadlines.set(10, () => told.push('early'));
  cleared();
  await last;
  expect(told).toEqual(['early', 'late']);
});

test('one that is set while another expires is kept', async () => {
  const deadlines = new Deadlines();
  const again = await new Promise<boolean>((resolve) => {
    deadlines.set(1, () => deadlines.set(1, () => resolve(true)));
  });
  expect(again).toBe(true);
});

test('a sooner one does not wait for a later one', async () => {
  const deadlines = new Deadlines();
  const keep = deadlines.set(60_000, () => {});
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    deadlines.set(5, resolve);
  });
  expect(performance.now() - startedAt).toBeLessThan(30_000);
  keep();
});

test('no timer holds the process once all were cleared', () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const deadlines = new Deadlines();
  const clears = [deadlines.set(60_000, () => {}), deadlines.set(50_000, () => {})];
  expect(timers()).toBe(before + 1);
  for (const clear of clears) clear();
  expect(timers()).toBe(before);
  deadlines.set(60_000, () => {})(); // wakes it, and lets it go again
  expect(timers()).toBe(before);
});
