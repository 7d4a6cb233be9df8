import { expect, test } from 'vitest';
import { Deadlines } from '../../src/store/held-job.js';

/** So many milliseconds from now. */
function inMs(ms: number): number {
  return performance.now() + ms;
}

test('each expires at its time, in order, and not if it was cleared before', async () => {
  const deadlines = new Deadlines();
  const told: string[] = [];
  const cleared = deadlines.set(inMs(5), () => told.push('cleared'));
  const last = new Promise<void>((resolve) => {
    deadlines.set(inMs(40), () => {
      told.push('late');
      resolve();
    });
  });
  deadlines.set(inMs(10), () => told.push('early'));
  expect(deadlines.clear(cleared)).toBe(true);
  expect(deadlines.clear(cleared)).toBe(false);
  await last;
  expect(told).toEqual(['early', 'late']);
});

test('one that is set while another expires is kept', async () => {
  const deadlines = new Deadlines();
  const again = await new Promise<boolean>((resolve) => {
    deadlines.set(inMs(1), () => deadlines.set(inMs(1), () => resolve(true)));
  });
  expect(again).toBe(true);
});

test('a sooner one does not wait for a later one', async () => {
  const deadlines = new Deadlines();
  const keep = deadlines.set(inMs(60_000), () => {});
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    deadlines.set(inMs(5), resolve);
  });
  expect(performance.now() - startedAt).toBeLessThan(30_000);
  deadlines.clear(keep);
});

test('no timer holds the process once all were cleared', () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const deadlines = new Deadlines();
  const open = [deadlines.set(inMs(60_000), () => {}), deadlines.set(inMs(50_000), () => {})];
  expect(timers()).toBe(before + 1);
  for (const each of open) deadlines.clear(each);
  expect(timers()).toBe(before);
  deadlines.clear(deadlines.set(inMs(60_000), () => {})); // wakes it, and lets it go again
  expect(timers()).toBe(before);
});
