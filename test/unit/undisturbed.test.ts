/** What is run again, and what is not. */
import { expect, test } from 'vitest';
import { undisturbed } from '../support/undisturbed.js';

function standStill(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

test('a scenario that fails while its process stands still is run again', async () => {
  let runs = 0;
  await undisturbed(200, async () => {
    runs += 1;
    if (runs > 2) return;
    await new Promise(setImmediate);
    standStill(600);
    throw new Error('late');
  });
  expect(runs).toBe(3);
});

test('its failure counts when the process has not stood still, and in the last of six runs', async () => {
  let runs = 0;
  const failing = (longestMs: number) =>
    undisturbed(longestMs, async () => {
      runs += 1;
      throw new Error('wrong');
    });
  await expect(failing(60_000)).rejects.toThrow('wrong');
  expect(runs).toBe(1);
  await expect(failing(-1)).rejects.toThrow('wrong');
  expect(runs).toBe(7);
});
