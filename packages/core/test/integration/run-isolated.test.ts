/** Attempts in child processes, one after the other in the same child. */
import { afterEach, expect, test } from 'vitest';
import type { GiveUpListener } from '../../src/job/job.js';
import type { Attempt } from '../../src/worker/attempt.js';
import { ChildPool } from '../../src/worker/isolate/pool.js';
import { runIsolated } from '../../src/worker/isolate/run.js';

const fixture = (name: string) => new URL(`./isolated/${name}`, import.meta.url).href;

const pools: ChildPool[] = [];
afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close(true))));

function poolOf(...args: ConstructorParameters<typeof ChildPool>): ChildPool {
  const pool = new ChildPool(...args);
  pools.push(pool);
  return pool;
}

/** As far as a run needs it. */
function attemptOf(name: string) {
  const listeners = new Set<GiveUpListener>();
  const everAdded: GiveUpListener[] = [];
  const { signal } = new AbortController();
  const facts = { id: 'job', name, queue: 'default', attempt: 1, rootId: 'job', idempotencyKey: 'job' };
  const reported: unknown[] = [];
  const attempt = {
    job: {
      attempt: 1,
      signal,
      onGiveUp(listener: GiveUpListener) {
        listeners.add(listener);
        everAdded.push(listener);
      },
      offGiveUp: (listener: GiveUpListener) => void listeners.delete(listener),
    },
    context: { ...facts, enqueuedAt: new Date(), now: () => Date.now(), headers: {}, tags: [] },
    reports: { progress: async (value: unknown) => void reported.push(value) },
    withoutLimit: <T>(work: Promise<T>) => work,
  };
  return { attempt: attempt as unknown as Attempt, listeners, everAdded, reported };
}

const call = (isolate: string, name: string, attempt: Attempt, input?: unknown) => ({
  ...{ app: 'isolated', attempt, input },
  task: { name, options: {}, isolate } as never, // what a run needs of it
});

test('a give-up that comes after an attempt has ended leaves the child to the attempt that runs then', async () => {
  const pool = poolOf(1);
  const module = fixture('tasks.mjs');
  const first = attemptOf('pid');
  const pid = await runIsolated(pool, call(module, 'pid', first.attempt));
  expect(first.listeners.size).toBe(0);

  const second = attemptOf('late-pid');
  const running = runIsolated(pool, call(module, 'late-pid', second.attempt));
  // Also one that was called already when the attempt ended.
  for (const giveUp of first.everAdded) giveUp(new Error('too late'));
  expect(await running).toBe(pid);
});

test('a child that does not load its module in time fails the attempt with the reason, and is ended', async () => {
  const pool = poolOf(1, 100);
  const module = `${fixture('slow.mjs')}?ms=3600000`;
  const { attempt, listeners } = attemptOf('pid');
  await expect(runIsolated(pool, call(module, 'pid', attempt))).rejects.toMatchObject({
    name: 'ChildProcessError',
    message:
      `The child process of task "pid" has not loaded ${module} within 0.1 s. This module should only define tasks ` +
      'and import what their handlers need.',
  });
  expect(listeners.size).toBe(0);
  await pool.close(false);
});
