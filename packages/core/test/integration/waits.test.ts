/** Waits are served from events; whatever becomes of those, no end is missed. */
import { type App, createApp, encryption, type TaskFailedError, UnknownJobError } from '@umbel/core';
import { memory } from '@umbel/testing';
import { type BackendFactory, type IQueueBackend, Queue, type RedisQueueBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { type HeldEvents, heldEvents } from '../support/held-events.js';

const soon = { timeout: '25s' } as const;
const quiet = { info() {}, warn() {}, error() {} };
/** More than are looked at within a few seconds without a reason. */
const MANY = 2000;

interface World {
  /** The app that waits. */
  readonly waiting: App;
  /** The app that works, on the same store. */
  readonly working: App;
  readonly events: HeldEvents;
  /** Their queue, as a program without Umbel uses it. */
  readonly bare: Queue;
}

describe.each(['memory', 'redis'] as const)('on %s', (engine) => {
  const opened: { close(): Promise<void> }[] = [];
  const names: string[] = [];

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((each) => each.close()));
    if (engine === 'memory') return;
    await onRedis(async (redis) => {
      for (const name of names.splice(0)) {
        const keys = await redis.keys(`umbel:{${name}}:*`);
        if (keys.length > 0) await redis.unlink(keys);
      }
    });
  });

  /** @param change Changes each backend of the app that waits. */
  function open(
    options: object = {},
    change: (backend: IQueueBackend) => IQueueBackend = (same) => same,
  ): World {
    const name = `waits-${crypto.randomUUID()}`;
    names.push(name);
    const url = engine === 'redis' ? inject('redisUrl') : undefined;
    const store = memory() as BackendFactory<IQueueBackend>;
    const events = engine === 'redis' ? heldEvents(url) : heldEvents(undefined, store);
    const connection: BackendFactory<IQueueBackend> = (...args) => change(events.connection(...args));
    const common = { name, logger: quiet, ...options };
    const working = createApp({ ...common, connection: url ?? store });
    const waiting = createApp({ ...common, connection });
    const prefix = `umbel:{${name}}`;
    const bare =
      url === undefined
        ? new Queue('default', { connection: {}, prefix }, store as BackendFactory<RedisQueueBackend>)
        : new Queue('default', { connection: { url }, prefix });
    opened.push(waiting, working, bare);
    return { waiting, working, events, bare };
  }

  const task = (app: App, run: (n: number) => Promise<number>) =>
    app.task({ name: 'task', input: z.number(), run });
  const double = async (n: number) => n * 2;

  /** Resolves once the reader of the app that waits stands at the end of the events. */
  const reads = ({ calls }: HeldEvents) =>
    vi.waitFor(() => expect(calls.get('readEvents') ?? 0).toBeGreaterThan(0), 5000);

  test('a result is taken from its event, and its job is not read', async () => {
    const { waiting, working, events } = open();
    const sent = task(waiting, double);
    task(working, double);
    await working.worker().start();
    for (let n = 0; n < 20; n += 1) expect(await (await sent.delay(n)).get(soon)).toBe(n * 2);
    expect(events.calls.get('isFinished')).toBeUndefined();
    expect(events.calls.get('getJobData')).toBeUndefined();
  });

  test('what many report is taken from events, and their jobs are not read', async () => {
    const { waiting, working, events } = open();
    const report = (app: App) =>
      app.task({
        name: 'report',
        input: z.number(),
        progress: z.object({ n: z.number() }),
        run: async (n, { progress }) => {
          for (let report = 1; report <= 3; report += 1) await progress({ n: n + report / 10 });
        },
      });
    const results = await report(waiting).sendMany(Array.from({ length: 100 }, (_, n) => n));
    const last = Promise.all(
      results.map(async (result) => {
        let seen = 0;
        for await (const { n } of result.progress(soon)) seen = n;
        return seen;
      }),
    );
    await reads(events);
    report(working);
    await working.worker({ concurrency: 20 }).start();
    expect(await last).toEqual(results.map((_, n) => n + 0.3));
    expect(events.calls.get('isFinished')).toBeUndefined();
    expect(events.calls.get('getJobData')).toBeUndefined();
  });

  test('events without a result, and those that were cut, are made up for by a read', async () => {
    const { waiting, working } = open({}, (backend) => {
      const readEvents = backend.readEvents.bind(backend);
      backend.readEvents = async (...args) => {
        const streams = await readEvents(...args);
        for (const [, fields] of streams?.[0]?.[1] ?? []) {
          for (const name of ['returnvalue', 'failedReason', 'data']) {
            const at = fields.indexOf(name);
            if (at !== -1) fields.splice(at, 2);
          }
        }
        return streams;
      };
      return backend;
    });
    const run = async (n: number) => {
      if (n < 0) throw new RangeError('negative');
      return n * 2;
    };
    const sent = task(waiting, run);
    task(working, run);
    const results = await sent.sendMany([1, 2, -1]);
    const ends = results.map((result) => result.outcome(soon));
    await new Promise((resolve) => setTimeout(resolve, 200)); // their first look is over
    await working.worker().start();
    const [one, two, three] = await Promise.all(ends);
    expect([one, two]).toEqual([
      { ok: true, value: 2 },
      { ok: true, value: 4 },
    ]);
    expect(three).toMatchObject({ ok: false, error: { cause: { name: 'RangeError', message: 'negative' } } });
  });

  test('a result that is too long for its event is read from the store', async () => {
    const { waiting, working } = open();
    const long = (app: App) =>
      app.task({ name: 'long', input: z.number(), run: async (length) => 'x'.repeat(length) });
    const results = await long(waiting).sendMany([10, 10_000, 100_000]);
    const lengths = results.map(async (result) => (await result.get(soon)).length);
    await new Promise((resolve) => setTimeout(resolve, 200)); // their first look is over
    long(working);
    await working.worker().start();
    expect(await Promise.all(lengths)).toEqual([10, 10_000, 100_000]);
  });

  test('a result that was encrypted is opened, and so is what was reported, by one read of the job', async () => {
    const codecs = [encryption({ keys: { one: new Uint8Array(32).fill(7) }, current: 'one' })];
    const { waiting, working, events } = open({ codecs });
    const seen: string[] = [];
    const run = (app: App) =>
      app.task({
        name: 'secret',
        progress: z.string(),
        run: async (_, { progress }) => {
          for (const part of ['one', 'two', 'three']) {
            await progress(part);
            await vi.waitFor(() => expect(seen.at(-1)).toBe(part), 5000);
          }
          return 'whole';
        },
      });
    const result = await run(waiting).delay();
    const following = (async () => {
      for await (const value of result.progress(soon)) seen.push(value);
    })();
    const getting = result.get(soon);
    await new Promise((resolve) => setTimeout(resolve, 200));
    run(working);
    await working.worker().start();
    expect(await getting).toBe('whole');
    await following;
    expect(seen).toEqual(['one', 'two', 'three']);
    expect(events.calls.get('isFinished')).toBeUndefined();
    expect(events.calls.get('getJobData')).toBe(1);
  });

  test('many are looked at after events were dropped before they were read', async () => {
    const { waiting, working, events, bare } = open();
    const sent = task(waiting, double);
    const numbers = Array.from({ length: MANY }, (_, n) => n);
    const results = await sent.sendMany(numbers);
    const waits = Promise.all(results.map((result) => result.get(soon)));
    await reads(events);
    events.hold();
    task(working, double);
    await working.worker({ concurrency: 50 }).start();
    await vi.waitFor(async () => expect((await working.queue('default').counts()).completed).toBe(MANY), {
      timeout: 20_000,
      interval: 50,
    });
    await bare.getBackend().trimEvents(0);
    events.release();
    expect(await waits).toEqual(numbers.map((n) => n * 2));
  }, 300_000);

  test('jobs that are removed are unknown to those who wait, also where no event says so', async () => {
    const { waiting, events, bare } = open();
    const sent = task(waiting, double);
    const [told, untold] = await sent.sendMany([1, 2]);
    const waits = [told, untold].map((result) => result?.get(soon).catch((error: unknown) => error));
    await reads(events);
    expect(await bare.remove(told?.id ?? '')).toBe(1);
    expect(await waits[0]).toBeInstanceOf(UnknownJobError);
    await bare.drain(true);
    expect(await waits[1]).toBeInstanceOf(UnknownJobError);
  });

  test('a failure that was read late does not end the wait for the attempt that was resumed', async () => {
    const { waiting, working, events } = open();
    let isBroken = true;
    let letGo = () => {};
    const gone = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const run = async (n: number) => {
      if (isBroken) throw new Error('broken');
      await gone;
      return n * 2;
    };
    const sent = task(waiting, run);
    task(working, run);
    const result = await sent.delay(4);
    const first = result.get(soon);
    await reads(events);
    events.hold();
    await working.worker().start();
    await expect(working.result(result.id).get(soon)).rejects.toThrow('broken');
    isBroken = false;
    expect(await working.result(result.id).resume()).toBe(1);
    const second = result.get(soon);
    await new Promise((resolve) => setTimeout(resolve, 300)); // it has been looked at
    events.release();
    await new Promise((resolve) => setTimeout(resolve, 300)); // the failure was read
    letGo();
    expect(await second).toBe(8);
    expect(await first).toBe(8);
  });

  test('a result that was read late does not end the wait for a job that runs once more', async () => {
    const { waiting, working, events, bare } = open();
    let runs = 0;
    let letGo = () => {};
    const gone = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const run = async () => {
      runs += 1;
      if (runs > 1) await gone;
      return runs;
    };
    const sent = task(waiting, run);
    task(working, run);
    const before = sent.delay(0).then((other) => other.get({ timeout: 1 }));
    await expect(before).rejects.toThrow('1 ms'); // from here on, events are read
    await reads(events);
    events.hold();
    const result = await sent.delay(4);
    await bare.remove(await before.then(String, ({ jobId }: { jobId: string }) => jobId));
    await working.worker().start();
    expect(await working.result(result.id).get(soon)).toBe(1);
    await (await bare.getJob(result.id))?.retry('completed');
    const getting = result.get(soon);
    await new Promise((resolve) => setTimeout(resolve, 300)); // it has been looked at
    events.release();
    await new Promise((resolve) => setTimeout(resolve, 300)); // the first result was read
    letGo();
    expect(await getting).toBe(2);
  });

  test('a job that fails ends the wait with its own error', async () => {
    const { waiting, working } = open();
    const run = async () => {
      throw new RangeError('too far');
    };
    const sent = task(waiting, run);
    task(working, run);
    const getting = (await sent.delay(1)).get(soon).catch((error: TaskFailedError) => error.cause);
    await working.worker().start();
    expect(await getting).toBeInstanceOf(RangeError);
  });

  test('several who wait for one job each get its result, and one may leave', async () => {
    const { waiting, working } = open();
    const result = await task(waiting, double).delay(21);
    const controller = new AbortController();
    const left = result.get({ signal: controller.signal }).catch((error: unknown) => error);
    const others = [result.get(soon), waiting.result(result.id).get(soon), result.get(soon)];
    controller.abort(new Error('enough'));
    expect(await left).toMatchObject({ message: 'enough' });
    task(working, double);
    await working.worker().start();
    expect(await Promise.all(others)).toEqual([42, 42, 42]);
  });

  test('a wait ends with the app, and a wait for another job goes on in another app', async () => {
    const { waiting, working } = open();
    const sent = task(waiting, double);
    task(working, double);
    const result = await sent.delay(1);
    const waits = [result.get(), result.get(), sent.delay(2).then((other) => other.get())];
    const errors = Promise.all(waits.map((wait) => wait.catch(({ name }: Error) => name)));
    await vi.waitFor(async () => expect((await working.queue('default').counts()).waiting).toBe(2));
    await waiting.close();
    expect(await errors).toEqual(['ClosedError', 'ClosedError', 'ClosedError']);
    await working.worker().start();
    expect(await working.result(result.id).get(soon)).toBe(2);
  });

  test('a store that cannot look at many jobs in one step is asked for each', async () => {
    let fails = true;
    const { waiting, working } = open({}, without('lookAtJobs'));
    const run = async (n: number) => {
      if (n < 0 && fails) throw new Error('negative');
      return n * 2;
    };
    const sent = task(waiting, run);
    task(working, run);
    const results = await sent.sendMany([1, 2, -3]);
    const waits = results.map((result) =>
      result.get(soon).catch(({ cause }: TaskFailedError) => cause.message),
    );
    await working.worker().start();
    expect(await Promise.all(waits)).toEqual([2, 4, 'negative']);
    fails = false;
    expect(await results[2]?.resume()).toBe(1);
    expect(await results[2]?.get(soon)).toBe(-6);
  });
});

/** A backend that lacks a command of Umbel's own, and is none of Redis. */
const without = (name: string) => (backend: IQueueBackend) =>
  new Proxy(backend, {
    has: (target, property) => property !== name && Reflect.has(target, property),
    getPrototypeOf: () => null,
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

async function onRedis(use: (redis: Redis) => Promise<void>): Promise<void> {
  const redis = new Redis(inject('redisUrl'));
  try {
    await use(redis);
  } finally {
    redis.disconnect();
  }
}
