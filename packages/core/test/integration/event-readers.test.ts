/** Many who follow the events of one app: each is told its own, in order and at its own pace, whatever the others do. */
import { chain } from '@umbel/canvas';
import type { AppEvent, EventQuery } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { collect, count, times } from '../support/collecting.js';

const unseen = { heartbeat: false } as const;
const soon = { timeout: '20s' } as const;
/** More than are kept for those who are slower than others. */
const MANY = 7000;

const placeless = ({ position, ...event }: AppEvent): object => event;

onEveryEngine('readers of one app', (engine) => {
  test('are told what each asks for, as if it were alone', async () => {
    const app = engine.app();
    const odd = app.task({ name: 'odd', queue: 'odd', input: z.number(), run: async (n) => n });
    const even = app.task({ name: 'even', input: z.number(), run: async (n) => n });
    const steps = chain(odd, even);
    await app.worker(unseen).start();
    const first = await odd.delay(1);
    await first.get(soon);
    const [begun] = await collect(app.events({ from: 'start' }), count(1));
    const run = await steps.delay(7);
    await run.get(soon);
    const queries: EventQuery[] = [
      {},
      { types: ['completed', 'run-finished'] },
      { tasks: ['even'] },
      { queues: ['odd'] },
      { queues: ['odd'], types: ['started'] },
      { id: run.id },
      { types: ['run-finished'] },
      { types: ['worker-online', 'run-started'] },
    ];
    const live = [...queries, ...queries].map((query) => collect(app.events(query), times('gap')));
    const whole = queries.map((query) => app.events({ ...query, from: 'start' }));
    const rest = queries.map((query) => app.events({ ...query, from: begun?.position }));
    const seen = new Map<AsyncIterableIterator<AppEvent>, AppEvent[]>();
    const follow = async (events: AsyncIterableIterator<AppEvent>) => {
      const all: AppEvent[] = [];
      seen.set(events, all);
      for await (const event of events) all.push(event);
    };
    const following = [...whole, ...rest].map(follow);
    for (let n = 0; n < 20; n += 1) await steps.delay(n);
    const { id } = await odd.delay(0);
    // Each on an app of its own, which nobody shares.
    for (const [index, query] of queries.entries()) {
      const alone = engine.sameApp({ queues: ['odd'] }).events({ ...query, from: 'start' });
      const told = follow(alone);
      await vi.waitFor(
        () => {
          const own = seen.get(alone)?.map(placeless) ?? [];
          const shared = seen.get(whole[index] as never)?.map(placeless) ?? [];
          if (index === 0) expect(own.filter((event) => 'id' in event && event.id === id)).toHaveLength(3);
          if (index === 0) expect(own.filter((event) => 'state' in event)).toHaveLength(21);
          expect(shared).toEqual(own);
        },
        { timeout: 15_000, interval: 50 },
      );
      const all = seen.get(alone) ?? [];
      const from = begun === undefined ? -1 : all.findIndex((event) => isSame(event, begun));
      expect(seen.get(rest[index] as never)?.map(placeless)).toEqual(
        all.slice(query.id === undefined ? from + 1 : 0).map(placeless),
      );
      await alone.return?.();
      await told;
    }
    for (const events of [...whole, ...rest]) await events.return?.();
    await Promise.all(following);
    await app.close();
    const ends = await Promise.all(live);
    for (const [index] of queries.entries())
      expect(ends[index]?.map(placeless)).toEqual(ends[index + queries.length]?.map(placeless));
    expect(ends[0]?.filter(({ type }) => type === 'run-finished')).toHaveLength(20);
  });

  test('that are slow hold nobody up, miss nothing, and catch up', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', run: async () => null });
    const backend = engine.bareQueue('default').getBackend();
    const publish = (n: number) =>
      backend.publishEvent({ event: 'added', jobId: `j${n}`, name: 'task' }, 20_000);
    const slow = app.events({ types: ['enqueued'] });
    const others = [app.events({ types: ['enqueued'] }), app.events({ types: ['enqueued', 'gap'] })];
    const firsts = [slow, ...others].map((events) => events.next());
    await task.delay();
    await Promise.all(firsts);
    const reading = others.map((events) => collect(events, count(MANY)));
    for (let n = 1; n <= MANY; n += 500)
      await Promise.all(Array.from({ length: 500 }, (_, at) => publish(n + at)));
    // A pool of connections publishes at the same time, in no order.
    const inOrder = (all: readonly unknown[]) => (engine.isSql ? all.toSorted() : all);
    const ids = inOrder(Array.from({ length: MANY }, (_, n) => `j${n + 1}`));
    for (const all of await Promise.all(reading)) expect(inOrder(all.map(idOf))).toEqual(ids);
    const late: AppEvent[] = [];
    while (late.length < MANY) late.push((await slow.next()).value);
    expect(inOrder(late.map(idOf))).toEqual(ids);
    const next = slow.next();
    await publish(MANY + 1);
    expect(idOf((await next).value)).toBe(`j${MANY + 1}`);
    await slow.return?.();
  });

  test('may change what they are told, each for itself', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'task',
      run: async (_, { progress }) => {
        await progress({ list: [1] });
        return null;
      },
    });
    const both = [app.events({ types: ['progress'] }), app.events({ types: ['progress'] })];
    const firsts = both.map((events) => events.next());
    await task.delay();
    await app.worker(unseen).start();
    const [one, other] = (await Promise.all(firsts)).map(({ value }) => value);
    one.value.list.push(2);
    one.at.setTime(0);
    expect(other).toMatchObject({ value: { list: [1] } });
    expect(other.at.getTime()).toBeGreaterThan(0);
  });

  test('answer calls of next in their order, and end those that wait', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', run: async () => null });
    const events = app.events();
    const two = [events.next(), events.next()];
    const a = await task.delay();
    const b = await task.delay();
    expect((await Promise.all(two)).map(({ value }) => idOf(value))).toEqual([a.id, b.id]);
    const waiting = events.next();
    expect((await events.return?.())?.done).toBe(true);
    expect((await waiting).done).toBe(true);
    expect((await events.next()).done).toBe(true);
  });

  test('that come while others wait are told of a queue that these do not read', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', run: async () => null });
    const other = app.task({ name: 'other', queue: 'other', run: async () => null });
    const resting = app.events({ queues: ['default'] });
    const first = resting.next();
    await task.delay();
    await first;
    const rests = resting.next();
    const coming = app.events({ queues: ['other'] });
    for (let n = 0; n < 3; n += 1) {
      const next = coming.next();
      const { id } = await other.delay();
      expect((await next).value).toMatchObject({ type: 'enqueued', id, queue: 'other' });
    }
    const { id } = await task.delay();
    expect((await rests).value).toMatchObject({ id, queue: 'default' });
    await Promise.all([resting.return?.(), coming.return?.()]);
  });

  test('count an attempt that nobody asked about before', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'task',
      retry: { attempts: 3, delay: 0 },
      run: async (_, { attempt }) => {
        if (attempt < 3) throw new Error('no');
        return null;
      },
    });
    const ends = app.events({ types: ['completed'] });
    const end = ends.next();
    await task.delay();
    await app.worker(unseen).start();
    expect((await end).value).toMatchObject({ type: 'completed', attempt: 3 });
    await ends.return?.();
  });
});

function idOf(event: AppEvent): unknown {
  return 'id' in event ? event.id : undefined;
}

function isSame(one: AppEvent, other: AppEvent): boolean {
  return JSON.stringify(placeless(one)) === JSON.stringify(placeless(other));
}
