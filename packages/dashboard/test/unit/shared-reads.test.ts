import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SharedReads, UNTIL_CHANGE } from '../../src/shared-reads.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** Reads that count themselves, with the number of the last event. */
function counted() {
  const events: { last: number | undefined } = { last: 1 };
  const reads = new SharedReads(() => events.last);
  let count = 0;
  return { events, reads, read: async () => ++count };
}

test('an answer is used again for a second, without regard to events', async () => {
  const { events, reads, read } = counted();
  expect(await reads.get('q', read)).toBe(1);
  events.last = 2;
  vi.advanceTimersByTime(900);
  expect(await reads.get('q', read)).toBe(1);
  expect(await reads.get('other', read)).toBe(2);
  vi.advanceTimersByTime(200);
  expect(await reads.get('q', read)).toBe(3);
});

test('an answer is used again until an event, for a minute at most', async () => {
  const { events, reads, read } = counted();
  expect(await reads.get('q', read, UNTIL_CHANGE)).toBe(1);
  vi.advanceTimersByTime(59_000);
  expect(await reads.get('q', read, UNTIL_CHANGE)).toBe(1);
  vi.advanceTimersByTime(1500);
  expect(await reads.get('q', read, UNTIL_CHANGE)).toBe(2);
  vi.advanceTimersByTime(1500);
  events.last = 2;
  expect(await reads.get('q', read, UNTIL_CHANGE)).toBe(3);
});

test('without a reader of events, an answer is used again for a second only', async () => {
  const { events, reads, read } = counted();
  expect(await reads.get('q', read, UNTIL_CHANGE)).toBe(1);
  events.last = undefined;
  vi.advanceTimersByTime(1500);
  expect(await reads.get('q', read, UNTIL_CHANGE)).toBe(2);
  vi.advanceTimersByTime(1500);
  expect(await reads.get('q', read, UNTIL_CHANGE)).toBe(3);
});

test('failed reads and cleared answers are read again, and the oldest of many make room', async () => {
  const { reads, read } = counted();
  await expect(reads.get('q', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
  expect(await reads.get('q', read)).toBe(1);
  reads.clear();
  expect(await reads.get('q', read)).toBe(2);
  for (let other = 0; other < 500; other += 1) await reads.get(`q ${other}`, async () => 0);
  expect(await reads.get('q 499', read)).toBe(0);
  expect(await reads.get('q', read)).toBe(3);
});
