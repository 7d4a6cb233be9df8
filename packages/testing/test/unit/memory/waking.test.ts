import { expect, test } from 'vitest';
import { memory } from '../../../src/memory/index.js';
import { ManualClock, once, openKit } from '../../support/memory-kit.js';

test('a blocked worker is woken by a new job', async () => {
  const kit = openKit();
  const backend = kit.hand().getBackend();
  const waiting = backend.waitForJob(60);
  await kit.queue().add('job', {});
  expect(await waiting).toEqual({ member: '0', score: 0 });
});

test('a blocked worker is woken when a delayed job comes due by the clock of the store', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  const backend = kit.hand().getBackend();
  await kit.queue().add('job', {}, { delay: 30_000 });
  const waiting = backend.waitForJob(60);
  await backend.waitUntilReady();
  clock.advance(30_000);
  expect(await waiting).toEqual({ member: '0', score: 0 });
});

test('a wait ends with null after its time', async () => {
  const kit = openKit();
  const backend = kit.hand().getBackend();
  expect(await backend.waitForJob(0.005)).toBeNull();
});

test('a paused queue wakes nobody until it is resumed', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const backend = kit.hand().getBackend();
  await queue.pause();
  await queue.add('job', {});
  expect(await backend.waitForJob(0.005)).toBeNull();
  const waiting = backend.waitForJob(60);
  await queue.resume();
  expect(await waiting).not.toBeNull();
});

test('two blocked workers and two jobs make two finished jobs, one each', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const workers = ['left', 'right'].map((name) => kit.worker(async () => name, { name }));
  await Promise.all(workers.map((worker) => worker.waitUntilReady()));
  const done = Promise.all(workers.map((worker) => once(worker, 'completed')));
  await queue.addBulk([
    { name: 'one', data: {} },
    { name: 'two', data: {} },
  ]);
  const results = (await done).map(([, result]) => result);
  expect(results.sort()).toEqual(['left', 'right']);
});

test('no job is handed out twice among many workers', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const count = 300;
  const seen: (string | undefined)[] = [];
  const finished = new Promise<void>((resolve) => {
    for (let at = 0; at < 5; at += 1) {
      const process = async ({ id }: { id?: string | undefined }) => {
        seen.push(id);
        if (seen.length === count) resolve();
      };
      kit.worker(process, { concurrency: 3 });
    }
  });
  await queue.addBulk(Array.from({ length: count }, () => ({ name: 'job', data: {} })));
  await finished;
  expect(new Set(seen).size).toBe(count);
});

test('closing an idle worker ends its wait at once', async () => {
  const kit = openKit();
  const worker = kit.worker(async () => {}, { drainDelay: 600 });
  await once(worker, 'drained');
  const started = performance.now();
  await worker.close();
  expect(performance.now() - started).toBeLessThan(30_000); // and not 600 s
});

test('a worker that is closed while blocked takes no further job', async () => {
  const kit = openKit();
  const queue = kit.queue();
  const worker = kit.worker(async () => {}, { drainDelay: 600 });
  await once(worker, 'drained');
  const closing = worker.close();
  const job = await queue.add('job', {});
  await closing;
  expect(await job.getState()).toBe('waiting');
});

test('a closed store leaves no timer behind, even with a delayed job', async () => {
  const clock = new ManualClock();
  const kit = openKit(memory({ clock }));
  await kit.queue().add('job', {}, { delay: 30_000 });
  const worker = kit.worker(async () => {});
  await once(worker, 'drained');
  await worker.close();
  expect(clock.pending).toBe(0);
});

test('a busy worker lets timers run', async () => {
  const kit = openKit();
  const queue = kit.queue();
  let stop = false;
  const ended = new Promise<void>((resolve) => {
    kit.worker(async () => {
      if (stop) resolve();
      else await queue.add('again', {});
    });
  });
  await queue.add('again', {});
  setTimeout(() => {
    stop = true;
  }, 20);
  await ended;
});

test('a seed decides, repeatably, which of several blocked workers is woken', async () => {
  const wokenBy = async (seed?: number) => {
    const kit = openKit(memory(seed === undefined ? {} : { seed }));
    const backends = Array.from({ length: 8 }, () => kit.hand().getBackend());
    const first = Promise.race(backends.map((backend, at) => backend.waitForJob(60).then(() => at)));
    await kit.queue().add('job', {});
    return first;
  };
  expect(await wokenBy()).toBe(0);
  const woken = await Promise.all([1, 2, 3, 4, 5].map(wokenBy));
  expect(await Promise.all([1, 2, 3, 4, 5].map(wokenBy))).toEqual(woken);
  expect(new Set(woken).size).toBeGreaterThan(1);
});
