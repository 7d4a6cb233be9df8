/** Results in the events that BullMQ writes for each queue. */
import { chain } from '@umbel/canvas';
import { type Job, QueueEvents } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { type Clock, systemClock } from '../../src/base/time.js';
import { isLeftOut } from '../../src/job/marks.js';
import { Retention } from '../../src/store/retention.js';
import type { Store } from '../../src/store/store.js';
import { openStore } from '../support/open-store.js';
import { onRedis, onSql } from '../support/planting.js';

const LONG = 'x'.repeat(5000);

/** The results that a program without Umbel reads in the events of a queue. */
function eventsOf(engine: Engine, app: { name: string }, name = 'default') {
  const { options: connection, factory } = engine.connection();
  const events = new QueueEvents(
    name,
    { connection, prefix: `umbel:{${app.name}}`, lastEventId: '0' },
    factory,
  );
  const results = new Map<string, unknown>();
  const errors: unknown[] = [];
  events.on('error', (error) => errors.push(error));
  events.on('completed', ({ jobId, returnvalue }) => results.set(jobId, returnvalue));
  onTestFinished(() => events.close());
  return { results, errors, ended: (id: string) => expect.poll(() => results.has(id)).toBe(true) };
}

onEveryEngine('the result in the event of a job that has completed', (engine) => {
  test('is there while it is short; a long one may have a mark in its place, and the job has it', async () => {
    const app = engine.app();
    const repeat = app.task({ name: 'repeat', input: z.number(), run: async (times) => 'x'.repeat(times) });
    await app.worker({ concurrency: 1, heartbeat: false }).start();
    const { results, errors, ended } = eventsOf(engine, app);
    const [long, short, last] = await Promise.all([5000, 10, 6000].map((times) => repeat.delay(times)));
    expect(await Promise.all([long?.get(), short?.get(), last?.get()])).toEqual([
      LONG,
      'x'.repeat(10),
      'x'.repeat(6000),
    ]);
    await ended(last?.id ?? '');
    expect(results.get(short?.id ?? '')).toBe('x'.repeat(10));
    // docs/engines.md: PostgreSQL keeps it
    const mark = { 'umbel:stored': LONG.length + 2 };
    expect(results.get(long?.id ?? '')).toEqual(engine.isSql ? LONG : mark);
    expect(isLeftOut(results.get(last?.id ?? ''))).toBe(!engine.isSql);
    expect((await engine.bareQueue('default').getJob(long?.id ?? ''))?.returnvalue).toBe(LONG);
    expect(errors).toEqual([]);
  });

  test('is there, however long, of a job that is not kept: nothing else has it', async () => {
    const app = engine.app();
    const make = app.task({ name: 'make', run: async () => LONG });
    await app.worker({ heartbeat: false }).start();
    const { results, ended } = eventsOf(engine, app);
    const job = await engine.bareQueue('default').add(make.name, { umbel: 1 }, { removeOnComplete: true });
    await ended(job.id ?? '');
    expect(results.get(job.id ?? '')).toBe(LONG);
  });

  test('reaches a parent whole', async () => {
    const app = engine.app();
    const make = app.task({ name: 'make', run: async () => LONG });
    const length = app.task({ name: 'length', input: z.string(), run: async (text) => text.length });
    await app.worker({ heartbeat: false }).start();
    expect(await (await chain(make, length).delay()).get()).toBe(LONG.length);
  });

  test('stays in that of a job of another program, however long', async () => {
    const app = engine.app();
    app.task({ name: 'own', run: async () => null });
    await app.worker({ heartbeat: false, fallback: async (job) => (job as Job).data }).start();
    const { results, ended } = eventsOf(engine, app);
    const job = await engine.bareQueue('default').add('theirs', LONG as never);
    await ended(job.id ?? '');
    expect(results.get(job.id ?? '')).toBe(LONG);
  });
});

/** Lets one look for what is to be removed pass, at a moment that is so far ahead. */
async function lookOnce(store: Store, aheadMs: number, keptMs: number): Promise<void> {
  let passed = () => {};
  const pass = new Promise<void>((resolve) => {
    passed = resolve;
  });
  let looks = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => Date.now() + aheadMs,
    setBackground(run) {
      looks += 1;
      if (looks === 1) setImmediate(run);
      else passed();
      return run;
    },
    clearTimeout() {},
  };
  const retention = new Retention({
    store,
    clock,
    queues: () => ['default'],
    keptMs: { completed: keptMs, failed: keptMs },
    onError: (error) => expect.fail(error.message),
  });
  retention.start();
  await pass;
  await retention.stop();
}

onEveryEngine('old events', (engine) => {
  // Those of the memory store end with its process.
  test.skipIf(engine.name === 'memory')(
    'go when results of their age do; a reader that has read all finds its place again',
    async () => {
      const app = engine.app();
      const store = openStore(app.name, engine.newConnection());
      onTestFinished(() => store.close());
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const quick = app.task({ name: 'quick', run: async () => 'a secret' });
      const held = app.task({ name: 'held', run: () => released });
      await app.worker({ heartbeat: false }).start();
      const events = app.events({ types: ['started', 'completed', 'gap'] });
      await (await quick.delay()).get();
      await held.delay();
      const seen: string[] = [];
      const next = async () => {
        const { value: event } = await events.next();
        seen.push(event?.type === 'gap' ? 'gap' : `${event?.task} ${event?.type}`);
      };
      for (let count = 0; count < 3; count += 1) await next();
      const following = next();
      const stored = () => storedEvents(engine, `umbel:{${app.name}}:default`);
      const before = await stored();
      expect(before.length).toBeGreaterThan(5);
      await lookOnce(store, 0, 1000);
      expect(await stored()).toEqual(before); // a minute at least
      await lookOnce(store, 3_000_000, 3_600_000);
      expect(await stored()).toEqual(before);
      await lookOnce(store, 3_700_000, 3_600_000);
      expect(await stored()).toEqual(['active']);
      release();
      await following;
      expect(seen).toEqual(['quick started', 'quick completed', 'held started', 'held completed']);
      await events.return?.();
    },
  );
});

/** The names of the events that a store has of a queue, the oldest first. */
async function storedEvents(engine: Engine, queue: string): Promise<unknown[]> {
  if (!engine.isSql) {
    const entries = await onRedis((redis) => redis.xrange(`${queue}:events`, '-', '+'));
    return entries.map(([, fields]) => fields[fields.indexOf('event') + 1]);
  }
  const text = 'SELECT event FROM umbel_event WHERE queue = $1 ORDER BY horizon, id';
  const { rows } = await onSql(engine, (query) => query(text, [queue]));
  return rows.map(({ event }) => event);
}
