import { randomUUID } from 'node:crypto';
import { memory } from '@umbel/testing';
import {
  type BackendFactory,
  FlowProducer,
  type IQueueBackend,
  type JobsOptions,
  Queue,
  Worker,
} from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../src/base/time.js';
import { Retention } from '../../src/store/retention.js';
import { openStore } from '../support/open-store.js';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;
const QUEUE = 'default';

/** Time that is moved by hand, and the upkeep that waits for it. */
class HandClock implements Clock {
  time = Date.UTC(2030, 0, 1);
  readonly waiting = new Set<() => void>();

  now(): number {
    return this.time;
  }
  setTimeout(): unknown {
    return undefined;
  }
  setDeadline(): unknown {
    return undefined;
  }
  setBackground(run: () => void): unknown {
    this.waiting.add(run);
    return run;
  }
  clearTimeout(handle: unknown): void {
    this.waiting.delete(handle as () => void);
  }
}

interface KitOptions {
  /** Without what Redis and the memory store have beside BullMQ's contract. */
  readonly isBare?: boolean;
}

/** A store whose jobs a test lets end, and workers' retention on it. */
function kit({ isBare = false }: KitOptions = {}) {
  const clock = new HandClock();
  const app = `test-${randomUUID()}`;
  const prefix = `umbel:{${app}}`;
  const commands: string[] = [];
  const errors: Error[] = [];
  let refusal: Error | undefined;
  const plain = memory({ clock });
  const watched = (backend: IQueueBackend): IQueueBackend =>
    new Proxy(backend, {
      has: (target, name) => !(isBare && OWN.has(name)) && Reflect.has(target, name),
      get(target, name) {
        if (isBare && OWN.has(name)) return undefined;
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          commands.push(String(name));
          if (refusal !== undefined && name === 'removeTrees') return Promise.reject(refusal);
          const answer: unknown = Reflect.apply(value, target, args);
          return name === 'forQueue' ? watched(answer as IQueueBackend) : answer;
        };
      },
    });
  const factory = ((...args: Parameters<BackendFactory>) => watched(plain(...args))) as BackendFactory;
  const store = openStore(app, factory as never);
  const connection = {};
  const queue = new Queue(QUEUE, { connection, prefix }, plain);
  const internal = new Queue('umbel', { connection, prefix }, plain);
  const flows = new FlowProducer({ connection, prefix }, plain);
  const workers = Object.fromEntries(
    [QUEUE, 'umbel'].map((name) => [
      name,
      new Worker(name, null, { connection, prefix, autorun: false }, plain),
    ]),
  );
  const retentions: Retention[] = [];
  /** Lets all jobs of a queue end that wait. */
  const endAll = async (name: string, limit = Number.POSITIVE_INFINITY) => {
    for (let index = 0; index < limit; index += 1) {
      const job = await workers[name]?.getNextJob('token', { block: false });
      if (job === undefined) return;
      await job.moveToCompleted('done', 'token', false);
      clock.time += 1;
    }
  };
  onTestFinished(async () => {
    await Promise.all(retentions.map((retention) => retention.stop()));
    await Promise.all([store.close(), queue.close(), internal.close(), flows.close()]);
    await Promise.all(Object.values(workers).map((worker) => worker.close()));
  });
  return {
    clock,
    meta: queue.getBackend(),
    queue,
    internal,
    flows,
    commands,
    errors,
    refuse: (error: Error | undefined) => {
      refusal = error;
    },
    retention(keptMs = { completed: DAY, failed: 7 * DAY }): Retention {
      const retention = new Retention({
        store,
        clock,
        queues: () => [QUEUE],
        keptMs,
        onError: (error) => errors.push(error),
      });
      retentions.push(retention);
      return retention;
    },
    /** Lets every retention that waits look once. */
    async look(): Promise<void> {
      const due = [...clock.waiting];
      clock.waiting.clear();
      for (const run of due) run();
      while (clock.waiting.size < due.length) await new Promise((resolve) => setImmediate(resolve));
    },
    /** Adds jobs and lets them end now. */
    async ended(count: number, opts: JobsOptions = {}): Promise<string[]> {
      const ids: string[] = [];
      for (let index = 0; index < count; index += 1) {
        const id = randomUUID();
        await queue.add('task', { umbel: 1, input: index }, { ...opts, jobId: id });
        ids.push(id);
      }
      await endAll(QUEUE);
      return ids;
    },
    endAll,
    /** Lets the next job of a queue fail for good. */
    async failOne(name: string): Promise<void> {
      const job = await workers[name]?.getNextJob('token', { block: false });
      await job?.moveToFailed(new Error('failed'), 'token', false);
    },
    async isThere(id: string): Promise<boolean> {
      return (await queue.getJobState(id)) !== 'unknown';
    },
  };
}

const OWN: ReadonlySet<string | symbol> = new Set(['endedJobs', 'removeTrees', 'childKeys']);

const RUN = 'run';
const stepOf = (index: number) => ({
  name: 'task',
  queueName: QUEUE,
  data: { umbel: 1, run: RUN },
  opts: { jobId: `${RUN}.${index}`, continueParentOnFailure: true },
});
const runOf = (steps: number) => ({
  name: 'umbel:run',
  queueName: 'umbel',
  data: { umbel: 1, run: RUN },
  opts: { jobId: RUN },
  children: Array.from({ length: steps }, (_, index) => stepOf(index)),
});

test.each([[false], [true]])(
  'jobs are kept as each says itself (by the contract alone: %s)',
  async (isBare) => {
    const { clock, retention, look, ended, isThere } = kit({ isBare });
    const [usual = ''] = await ended(1);
    const [brief = ''] = await ended(1, { removeOnComplete: { age: 60 } });
    const [long = ''] = await ended(1, { removeOnComplete: { age: (30 * DAY) / SECOND } });
    const [always = ''] = await ended(1, { removeOnComplete: false });
    const sweeper = retention({ completed: HOUR, failed: HOUR });
    sweeper.note(QUEUE, 'completed', 60 * SECOND);
    sweeper.start();
    const there = () => Promise.all([usual, brief, long, always].map(isThere));
    await look();
    expect(await there()).toEqual([true, true, true, true]);
    clock.time += 61 * SECOND;
    await look();
    expect(await there()).toEqual([true, false, true, true]);
    clock.time += DAY;
    await look();
    expect(await there()).toEqual([false, false, true, true]);
    clock.time += 30 * DAY;
    await look();
    expect(await there()).toEqual([false, false, false, true]);
  },
);

test('jobs without a word of it are kept for as long as the app of the worker says, if that is longer', async () => {
  const { clock, retention, look, ended, isThere } = kit();
  const [old = ''] = await ended(1); // of an older version
  retention({ completed: 30 * DAY, failed: 30 * DAY }).start();
  clock.time += 29 * DAY;
  await look();
  expect(await isThere(old)).toBe(true);
  clock.time += 2 * DAY;
  await look();
  expect(await isThere(old)).toBe(false);
});

test.each([[false], [true]])('a large run goes as a whole (by the contract alone: %s)', async (isBare) => {
  const { clock, flows, internal, queue, retention, look, endAll } = kit({ isBare });
  retention().start();
  await flows.add(runOf(260));
  await endAll(QUEUE, 250);
  clock.time += 2 * DAY;
  await look();
  expect(await queue.getJobCountByTypes('completed')).toBe(250);
  await endAll(QUEUE);
  await endAll('umbel');
  clock.time += DAY - SECOND;
  await look();
  expect(await queue.getJobCountByTypes('completed')).toBe(260);
  clock.time += 5 * 60 * SECOND;
  await look();
  expect(await internal.getJobState(RUN)).toBe('unknown');
  expect(await queue.getJobCountByTypes('completed')).toBe(0);
});

test.each([
  [false, 2],
  [true, 2],
  [false, 260],
])(
  'a run that has failed stays while jobs of it go on (by the contract alone: %s, %s jobs)',
  async (isBare, steps) => {
    const { clock, flows, internal, queue, retention, look, endAll, failOne } = kit({ isBare });
    retention().start();
    await flows.add(runOf(steps));
    await failOne(QUEUE);
    await failOne('umbel');
    expect(await internal.getJobState(RUN)).toBe('failed');
    clock.time += 8 * DAY;
    await look();
    expect(await internal.getJobState(RUN)).toBe('failed');
    expect(await queue.getJobCountByTypes('wait')).toBe(steps - 1);
    await endAll(QUEUE);
    clock.time += 7 * DAY + HOUR;
    await look();
    expect(await internal.getJobState(RUN)).toBe('unknown');
    expect(await queue.getJobCountByTypes('completed', 'failed')).toBe(0);
  },
);

test('a step that its join has let go stays as long as the run', async () => {
  const { clock, flows, internal, queue, retention, look, endAll, isThere } = kit();
  retention().start();
  await flows.add(runOf(2));
  const left = await queue.getJob(`${RUN}.1`);
  await left?.removeChildDependency();
  await endAll(QUEUE);
  clock.time += 2 * DAY;
  await look();
  expect([await isThere(`${RUN}.0`), await isThere(`${RUN}.1`)]).toEqual([true, true]);
  await endAll('umbel');
  clock.time += 2 * DAY;
  await look();
  expect(await internal.getJobState(RUN)).toBe('unknown');
  expect([await isThere(`${RUN}.0`), await isThere(`${RUN}.1`)]).toEqual([false, false]);
});

test('what is kept longer is not read in each look', async () => {
  const { clock, retention, look, ended, isThere, commands } = kit();
  await ended(900, { removeOnComplete: { age: (300 * DAY) / SECOND } });
  const looks = () => commands.filter((name) => name === 'endedJobs').length;
  retention().start();
  clock.time += 2 * DAY;
  await look();
  expect(looks()).toBeGreaterThan(4);
  commands.length = 0;
  const [next = ''] = await ended(1);
  clock.time += 5 * 60 * SECOND;
  await look();
  expect(looks()).toBe(4); // the first page of each set of two queues
  clock.time += 2 * DAY;
  await look();
  expect(await isThere(next)).toBe(false);
});

test('of several workers one looks', async () => {
  const { clock, retention, look, ended, isThere, commands } = kit();
  const [id = ''] = await ended(1);
  for (let worker = 0; worker < 5; worker += 1) retention().start();
  clock.time += 2 * DAY;
  await look();
  expect(commands.filter((name) => name === 'endedJobs')).toHaveLength(4);
  expect(await isThere(id)).toBe(false);
});

test('a worker that has died while it looked is replaced after a minute', async () => {
  const { clock, meta, retention, look, ended, isThere } = kit();
  const [id = ''] = await ended(1);
  clock.time += 2 * DAY;
  const until = clock.time + 60 * SECOND;
  const lease = { at: 0, by: 'dead', until, sets: {} };
  await meta.setQueueMeta({ 'umbel:retention': JSON.stringify(lease) });
  retention().start();
  await look();
  expect(await isThere(id)).toBe(true);
  clock.time = until;
  await look();
  expect(await isThere(id)).toBe(false);
});

test('a worker that closes while it looks leaves the rest to another one at once', async () => {
  const { clock, retention, look, ended, isThere, commands } = kit();
  const ids = await ended(500);
  clock.time += 2 * DAY;
  const closing = retention();
  closing.start();
  const [begin] = clock.waiting;
  clock.waiting.clear();
  begin?.();
  while (!commands.includes('removeTrees')) await new Promise((resolve) => setImmediate(resolve));
  await closing.stop();
  const there = async () => (await Promise.all(ids.map(isThere))).filter((isLeft) => isLeft).length;
  expect(await there()).toBeGreaterThan(0);
  retention().start();
  await look();
  expect(await there()).toBe(0);
});

test('a look that the store refuses is told, and done again', async () => {
  const { clock, retention, look, ended, isThere, refuse, errors } = kit();
  const [id = ''] = await ended(1);
  retention().start();
  clock.time += 2 * DAY;
  refuse(new Error('not now'));
  await look();
  expect(errors).toMatchObject([{ message: 'not now' }]);
  expect(await isThere(id)).toBe(true);
  refuse(undefined);
  await look();
  expect(await isThere(id)).toBe(false);
});

test.each(['no JSON', '7', 'null', '{"at":"x","until":{},"sets":{"completed":{"cursors":[1]},"failed":3}}'])(
  'what is stored of a look may be anything: %s',
  async (text) => {
    const { clock, meta, retention, look, ended, isThere, errors } = kit();
    const [id = ''] = await ended(1);
    await meta.setQueueMeta({ 'umbel:retention': text, 'umbel:kept': text });
    retention().start();
    clock.time += 2 * DAY;
    await look();
    expect(await isThere(id)).toBe(false);
    expect(errors).toEqual([]);
  },
);

test('the rare job that is queued again just then is not removed', async () => {
  const { clock, queue, retention, look, isThere, failOne } = kit();
  await queue.add('task', { umbel: 1 }, { jobId: 'call' });
  await failOne(QUEUE);
  retention().start();
  clock.time += 8 * DAY;
  await (await queue.getJob('call'))?.retry('failed');
  await look();
  expect(await isThere('call')).toBe(true);
});
