import { RedisQueueBackend } from 'bullmq';
import { expect, test } from 'vitest';
import { keepsStoreTime } from '../../../src/bullmq/guards/store-time.js';
import { StoreTime } from '../../../src/bullmq/store-time.js';
import { systemClock } from '../../../src/clock.js';

const HOUR_MS = 3_600_000;

/** The commands that reach a Redis from a machine whose clock is ahead by so much, and its answer to each. */
function redis(offsetMs: number, answer: unknown) {
  const sent: unknown[][] = [];
  const backend: RedisQueueBackend = Object.create(RedisQueueBackend.prototype);
  backend.execCommand = (_client, _command, args: unknown[]) => {
    sent.push(args);
    return Promise.resolve(answer);
  };
  const time = new StoreTime(() => {});
  time.measured(offsetMs);
  keepsStoreTime(backend, time);
  return { sent, run: (...args: unknown[]) => backend.execCommand(undefined as never, 'moveToActive', args) };
}

test('the moment of a command is the store’s, and so is what it tells of the next', async () => {
  const dueAt = Date.now() + 60_000;
  const { sent, run } = redis(HOUR_MS, [null, null, 0, dueAt]);
  const now = Date.now();
  expect(await run('key', now, 'packed', 7)).toEqual([null, null, 0, dueAt + HOUR_MS]);
  expect(sent).toEqual([['key', now - HOUR_MS, 'packed', 7]]);
});

test('a clock that differs by less than a second is left as it is', async () => {
  const { sent, run } = redis(900, [null, null, 0, 5]);
  const now = Date.now();
  expect(await run(now)).toEqual([null, null, 0, 5]);
  expect(sent).toEqual([[now]]);
});

test('other answers stay as they are', async () => {
  const { run } = redis(HOUR_MS, 17);
  expect(await run(1)).toBe(17);
});

test('a clock that is far off is told once, and set right', () => {
  const told: string[] = [];
  const time = new StoreTime((message) => told.push(message));
  const clock = time.correct(systemClock);
  time.measured(500);
  expect(told).toEqual([]);
  time.measured(-HOUR_MS);
  time.measured(-HOUR_MS + 20);
  expect(told).toEqual([
    "the clock of this machine is 3600 s behind the store's. Times are taken from the store's; set the clock (NTP).",
  ]);
  expect(clock.now() - Date.now()).toBeGreaterThan(HOUR_MS - 1000);
});
