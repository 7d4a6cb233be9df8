import { once } from 'node:events';
import { type App, createApp, LockLostError, type TaskContext } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';

const LOCK_MS = 1000;
const soon = { timeout: '50s' } as const;

let redis: Redis;
let app: App;
const told: string[] = [];

beforeEach(() => {
  redis = new Redis(inject('redisUrl'));
  const note = (message: unknown) => void told.push(String(message));
  app = createApp({
    name: `lost-${crypto.randomUUID()}`,
    connection: inject('redisUrl'),
    logger: { info() {}, warn: note, error: note },
  });
  told.length = 0;
});

afterEach(async () => {
  await app.close();
  for (const key of await redis.keys(`umbel:{${app.name}}:*`)) await redis.del(key);
  redis.disconnect();
});

/** Puts an active job back, as a sweep does that finds no lock. */
async function putBack(id: string): Promise<void> {
  const key = (name: string) => `umbel:{${app.name}}:default:${name}`;
  await redis
    .multi()
    .del(key(`${id}:lock`))
    .lrem(key('active'), 1, id)
    .hincrby(key(id), 'stc', 1)
    .rpush(key('wait'), id)
    .zadd(key('marker'), 0, '0')
    .exec();
}

test('a handler whose job another run has taken is told, can report nothing more, and gives no result', async () => {
  const runs: TaskContext[] = [];
  const task = app.task({
    name: 'hold',
    input: z.string(),
    run: async (word, ctx) => {
      runs.push(ctx);
      if (runs.length > 1) return `${word} again`;
      await once(ctx.signal, 'abort');
      return `${word} at first`;
    },
  });
  await app.worker({ lockDuration: LOCK_MS }).start();
  const result = await task.delay('run');
  await vi.waitFor(() => expect(runs).toHaveLength(1), { timeout: 5000, interval: 5 });
  await putBack(result.id);
  expect(await result.get(soon)).toBe('run again');
  const [first] = runs;
  expect(first?.signal.reason).toBeInstanceOf(LockLostError);
  expect(first?.signal.reason).toMatchObject({ code: 'LOCK_LOST', jobId: result.id });
  await expect(first?.progress(1)).rejects.toMatchObject({ code: 'JOB_STATE' });
  expect(runs).toHaveLength(2);
  expect(runs.map(({ attempt }) => attempt)).toEqual([1, 1]);
  expect((await result.info())?.attempts).toBe(1);
});

test('a job keeps its lock when an earlier run of it in the same process ends', async () => {
  let ended = 0;
  const task = app.task({
    name: 'deaf',
    run: async () => {
      await new Promise((resolve) => setTimeout(resolve, 3 * LOCK_MS));
      ended += 1;
      return ended;
    },
  });
  await app.worker({ lockDuration: LOCK_MS }).start();
  const result = await task.delay();
  await vi.waitFor(async () => expect(await result.state()).toBe('active'), { timeout: 5000, interval: 5 });
  await putBack(result.id);
  await result.get(soon);
  await vi.waitFor(() => expect(ended).toBe(2), { timeout: 5000, interval: 20 });
  // A third run would have begun, had the second one lost its lock with the end of the first.
  expect((await result.info())?.attempts).toBe(1);
  expect(await redis.hget(`umbel:{${app.name}}:default:${result.id}`, 'ats')).toBe('2');
});

test('a run that does not know yet that its job was taken changes nothing of the outcome that another run has stored', async () => {
  const ends: ((reason: Error) => void)[] = [];
  const failing = {
    name: 'fail',
    run: () => new Promise<never>((_, reject) => ends.push(reject)),
  };
  const task = app.task(failing);
  const untilStarted = (count: number) =>
    vi.waitFor(() => expect(ends).toHaveLength(count), { timeout: 5000, interval: 5 });
  await app.worker({ concurrency: 1 }).start();
  const { id } = await task.delay();
  await untilStarted(1);
  const other = createApp({ name: app.name, connection: inject('redisUrl'), logger: quiet });
  other.task(failing);
  await other.worker().start();
  await putBack(id);
  await untilStarted(2);
  ends[1]?.(new Error('the second run fails'));
  const second = { ok: false, error: { cause: { message: 'the second run fails' } } };
  expect(await other.result(id).outcome(soon)).toMatchObject(second);
  ends[0]?.(new Error('the first run fails'));
  await app.close(); // waits until the first run has ended
  expect(await other.result(id).outcome(soon)).toMatchObject(second);
  await other.close();
});

const quiet = { info() {}, warn() {}, error() {} };
