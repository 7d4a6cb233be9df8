/** When the wait of a worker is ended. That a real Redis ends it then is tested in `integration/due-jobs.test.ts`. */
import { RedisQueueBackend } from 'bullmq';
import { expect, test } from 'vitest';
import { IDLE_WAIT_S } from '../../../src/store/engine/commands.js';
import { startsDueJobs } from '../../../src/store/engine/redis/due-jobs.js';

/** A backend whose wait ends when the marker is added, or by itself. */
function kit({ endsItself = false, refuses = false } = {}) {
  const wokenAt: number[] = [];
  const asked: number[] = [];
  let wake = () => {};
  const client = {
    defineCommand: () => {},
    runCommand: async (_name: string, [key]: string[]) => {
      expect(key).toBe('marker of the queue');
      wokenAt.push(Date.now());
      wake();
      if (refuses) throw new Error('NOPERM this user has no permissions');
    },
  };
  const backend = Object.assign(Object.create(RedisQueueBackend.prototype), {
    connection: { client: Promise.resolve(client) },
    toKey: (type: string) => `${type} of the queue`,
    waitForJob: (timeoutS: number) => {
      asked.push(timeoutS);
      if (endsItself) return Promise.resolve(null);
      return new Promise((resolve) => {
        wake = () => resolve({ member: '0', score: 0 });
      });
    },
  }) as RedisQueueBackend;
  startsDueJobs(backend);
  return { backend, asked, wokenAt };
}

const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

test('the wait for a delayed job ends when it is due, and not before', async () => {
  const { backend, asked, wokenAt } = kit();
  for (const timeoutS of [0.001, 0.005, 0.012, 0.03]) {
    const dueAt = Date.now() + timeoutS * 1000;
    expect(await backend.waitForJob(timeoutS)).toEqual({ member: '0', score: 0 });
    expect(wokenAt.at(-1)).toBeGreaterThanOrEqual(dueAt);
  }
  expect(asked).toEqual([0.001, 0.005, 0.012, 0.03]);
  expect(wokenAt).toHaveLength(4);
});

test('a wait that ends by itself leaves no timer behind', async () => {
  const { backend, wokenAt } = kit({ endsItself: true });
  const before = timers();
  expect(await backend.waitForJob(0.5)).toBeNull();
  expect(timers()).toBe(before);
  expect(wokenAt).toEqual([]);
});

test.each([IDLE_WAIT_S, 10])(
  'a wait of %i s is not for a delayed job, so that nothing ends it',
  (timeoutS) => {
    const { backend, wokenAt } = kit();
    const before = timers();
    void backend.waitForJob(timeoutS);
    expect(timers()).toBe(before);
    expect(wokenAt).toEqual([]);
  },
);

test('a store that refuses the marker ends the wait by itself', async () => {
  const { backend } = kit({ refuses: true });
  expect(await backend.waitForJob(0.001)).toEqual({ member: '0', score: 0 });
});
