/** How long runs stay in the store: as a whole, for `resultTtl` or `failureTtl` from their end. */
import { once } from 'node:events';
import { chain, chord, chunks, fallback, flat, group, map, match, starmap, when } from '@umbel/canvas';
import type { App, AppOptions, AsyncResult } from '@umbel/core';
import { Redis } from 'ioredis';
import { expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { OTHER_KEYS } from '../../../../test/support/queue-keys.js';
import { toolbox } from '../support/toolbox.js';

const soon = { timeout: '50s' } as const;
const patience = { timeout: 25_000, interval: 100 };
/** Of a run with a job that ended well after it: retention looks at it again after a minute. */
const longPatience = { timeout: 120_000, interval: 100 };
const BRIEF = { resultTtl: '1s', failureTtl: '1s' } as const;

async function start(engine: Engine, options: Partial<AppOptions> = BRIEF) {
  const app = engine.app(options);
  const tools = toolbox(app);
  await app.worker().start();
  /** Resolves once what had ended by now is not kept any more, while other jobs of the queue end and fail. */
  const passed = async () => {
    const first = await tools.tick.delay();
    await vi.waitFor(async () => {
      await Promise.all([tools.tick.delay(), tools.fail.delay(1)]);
      expect(await first.state()).toBe('unknown');
    }, patience);
  };
  return { app, passed, ...tools };
}

/** Jobs that a queue holds in any state. */
async function held(engine: Engine, queue = 'default'): Promise<number> {
  const counts = await engine
    .bareQueue(queue)
    .getJobCounts('wait', 'active', 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed');
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

const settledIn = async (run: AsyncResult<unknown>) =>
  run.get(soon).then(
    () => 'completed',
    () => 'failed',
  );

onEveryEngine('while a run goes on, nothing of it is removed', (engine) => {
  test('the outcomes of a large settled group', async () => {
    const { double, hold, signals, passed } = await start(engine);
    const isHeld = once(signals, 'held');
    const members = [hold, ...Array.from({ length: 299 }, () => double)];
    const run = await group.settled(members).delay(1);
    await isHeld;
    await vi.waitFor(async () => expect(await run.counts()).toMatchObject({ completed: 299 }), patience);
    await passed();
    signals.emit('release');
    const outcomes = await run.get(soon);
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(300);
  });

  test('the results that a body, another group and those who need some take', async () => {
    const { double, hold, sum, echo, signals, passed } = await start(engine);
    const many = Array.from({ length: 120 }, () => double);
    const held = { count: 0 };
    signals.on('held', () => {
      held.count += 1;
    });
    const runs = [
      await chord(group.settled([...many, hold]), echo).delay(1),
      await chord(group([...many, hold]), sum).delay(1),
      await chain(group.atLeast(3, [double, double, hold]), sum).delay(1),
      await chain(chord(many, sum), group([double, hold]), sum).delay(0),
    ] as const;
    await vi.waitFor(() => expect(held.count).toBe(4), patience);
    await vi.waitFor(async () => expect(await runs[0].counts()).toMatchObject({ completed: 120 }), patience);
    await vi.waitFor(async () => expect(await runs[1].counts()).toMatchObject({ completed: 120 }), patience);
    await passed();
    signals.emit('release');
    const [settled, summed, some, nested] = await Promise.all(runs.map((run) => run.get(soon)));
    expect((settled as { ok: boolean }[]).filter(({ ok }) => ok)).toHaveLength(121);
    expect([summed, some, nested]).toEqual([241, 5, 0]);
  });

  test('its failed steps', async () => {
    const { fail, hold, signals, passed } = await start(engine);
    const isHeld = once(signals, 'held');
    const run = await group.settled([chain(fail, fail), hold]).delay(1);
    await isHeld;
    await vi.waitFor(async () => expect(await run.counts()).toMatchObject({ failed: 2 }), patience);
    await passed();
    expect(await run.counts()).toMatchObject({ failed: 2, active: 1 });
    signals.emit('release');
    expect(await run.get(soon)).toMatchObject([{ ok: false }, { ok: true, value: 1 }]);
  });
});

onEveryEngine('once a run has ended', (engine) => {
  test('it goes as a whole, from its own end, though nothing else happens', async () => {
    const { app, double, fail, hold, signals } = await start(engine, { resultTtl: '2s', failureTtl: '2s' });
    const isHeld = once(signals, 'held');
    const run = await chain(double, group.settled([double, fail]), hold.si(1)).delay(1);
    await isHeld;
    signals.emit('release');
    await run.get(soon);
    const ids = [run.id, `${run.id}.0-0`, `${run.id}.0-1.0`, `${run.id}.0-1.1`, `${run.id}.0`];
    const states = () => Promise.all(ids.map((id) => app.result(id).state()));
    expect(await states()).not.toContain('unknown');
    await vi.waitFor(async () => expect(await run.state()).toBe('unknown'), patience);
    expect(await states()).toEqual(ids.map(() => 'unknown'));
    expect([await held(engine), await held(engine, 'umbel')]).toEqual([0, 0]);
  });

  test('it is kept for `failureTtl` if it has failed, results and all', async () => {
    const { app, double, fail, passed } = await start(engine, { resultTtl: '1s', failureTtl: '1h' });
    const run = await chain(double, group([double, fail])).delay(1);
    await settledIn(run);
    await passed();
    expect(await run.state()).toBe('failed');
    expect(await app.result(`${run.id}.0-0`).get(soon)).toBe(2);
  });

  test('a failed call of a queue in which nothing else happens goes as well', async () => {
    const { fail } = await start(engine);
    const call = await fail.delay(1);
    await settledIn(call);
    await vi.waitFor(async () => expect(await call.state()).toBe('unknown'), patience);
    expect(await held(engine)).toBe(0);
  });

  test('what another app keeps for longer in the same queues stays', async () => {
    const { double, passed } = await start(engine);
    const other = engine.sameApp({ resultTtl: '1d', failureTtl: '1d' });
    const kept = toolbox(other);
    const runs = [await kept.double.delay(1), await chain(kept.double, kept.double).delay(1)];
    const usual = toolbox(engine.sameApp({ resultTtl: '1d', failureTtl: '7d' }));
    runs.push(await usual.double.delay(1));
    for (const run of runs) await run.get(soon);
    await (await double.delay(1)).get(soon);
    await passed();
    for (const run of runs) expect(await run.state()).toBe('completed');
  });

  test('a call of an app that keeps it for less goes though only others have workers', async () => {
    const app = engine.app({ resultTtl: '1d' });
    const { double } = toolbox(app);
    await app.worker().start();
    const own = toolbox(engine.sameApp(BRIEF));
    const [brief, long] = [await own.double.delay(1), await double.delay(1)];
    await Promise.all([brief.get(soon), long.get(soon)]);
    await vi.waitFor(async () => expect(await brief.state()).toBe('unknown'), patience);
    expect(await long.state()).toBe('completed');
  });

  test('no key is left of any kind of call', async () => {
    const { app, ...tools } = await start(engine);
    const { runs, schedule } = await everyKind(app, tools);
    expect(runs.length).toBeGreaterThanOrEqual(31);
    await Promise.all(runs.map((run) => settledIn(run)));
    await vi.waitFor(async () => expect((await schedule.info()).runs.length).toBeGreaterThan(0), patience);
    await schedule.remove();
    const queues = ['default', 'umbel', 'aside'];
    await vi.waitFor(async () => {
      expect(await Promise.all(queues.map((queue) => held(engine, queue)))).toEqual([0, 0, 0]);
    }, longPatience);
    if (engine.name === 'redis') expect(await keysOf(app.name, queues)).toEqual([]);
  }, 300_000);
});

/** One call of each kind; some fail. */
async function everyKind(app: App, tools: Omit<Awaited<ReturnType<typeof start>>, 'app'>) {
  const { add, double, sum, echo, fail, flaky, tick } = tools;
  const numbers = app.task({
    name: 'numbers',
    input: z.number(),
    run: async (n) => Array.from({ length: n }, () => 1),
  });
  const instead = app.task({
    name: 'instead',
    input: z.number(),
    run: async (n, ctx) => ctx.replace(chain(double, double), n),
  });
  const inGroup = app.task({
    name: 'in-group',
    input: z.number(),
    run: async (n, ctx) => {
      if (n > 0) await ctx.addToGroup(inGroup, n - 1);
      return n;
    },
  });
  const numberOf = app.task({
    name: 'number-of',
    input: z.number(),
    output: z.object({ n: z.number() }),
    run: async (n) => ({ n }),
  });
  const stops = app.task({
    name: 'stops',
    input: z.number(),
    run: async (n, ctx): Promise<number> => ctx.stop(n),
  });
  const aside = app.task({ name: 'aside', input: z.number(), queue: 'aside', run: async (n) => n });
  await app.worker({ queues: ['aside'] }).start();
  const schedule = app.schedule('every-second', { every: '1s' }, chain(double.si(1), double));
  await app.schedules.sync();
  const many = Array.from({ length: 120 }, () => double);
  const revoked = await double.set({ countdown: '1h' }).delay(1);
  await revoked.revoke();
  const revokedRun = await chain(double.set({ countdown: '1h' }), double).delay(1);
  await revokedRun.revoke();
  const runs = [
    await double.delay(1),
    await fail.delay(1),
    await flaky.delay(1),
    await double.link(echo).linkError(echo).finally(echo).delay(1),
    await fail.linkError(echo).delay(1),
    await instead.delay(1),
    await aside.delay(1),
    await tick.set({ expires: 1 }).delay(),
    revoked,
    revokedRun,
    await chain(double, aside, double).delay(1),
    await chain(double, fail, double).delay(1),
    await chain(double, stops, double).delay(1),
    await chain(double, instead, double).delay(1),
    await chain(double.link(chain(double, double)), double).delay(1),
    await group([double, aside]).delay(1),
    await group([double, fail, fail]).delay(1),
    await group(many).delay(1),
    await group.settled([double, fail]).delay(1),
    await group.settled([...many, fail]).delay(1),
    await group.any([double, fail, chain(double, double)]).delay(1),
    await group.any([fail, fail]).delay(1),
    await group.atLeast(2, [double, double, chain(double, double)], { cancelSiblings: true }).delay(1),
    await group([inGroup, double]).delay(3),
    await chord([double, double], sum).delay(1),
    await chord(many, sum).link(echo).delay(1),
    await chain(double, group([double, double]), sum).delay(1),
    await map(double, [1, 2, 3]).delay(),
    await chain(numbers, map(double), sum).delay(130),
    await starmap(add, ['x', 'y'], [[1, 2]]).delay(),
    await chunks(double, [1, 2, 3, 4, 5], 2).delay(),
    await fallback(double, echo).delay(1),
    await fallback(fail, echo).delay(1),
    await flat(group([numbers, numbers])).delay(2),
    await match('kind', { a: echo, b: echo }).delay({ kind: 'a' }),
    await chain(numberOf, when({ n: 1 }, echo)).delay(1),
  ] as AsyncResult<unknown>[];
  return { runs, schedule };
}

/** Keys of jobs that these queues have in Redis. */
async function keysOf(app: string, queues: readonly string[]): Promise<string[]> {
  const redis = new Redis(inject('redisUrl'));
  try {
    const keys: string[] = [];
    for (const queue of queues) {
      const before = `umbel:{${app}}:${queue}:`;
      for (const key of await redis.keys(`${before}*`))
        if (!OTHER_KEYS.includes(key.slice(before.length))) keys.push(key);
    }
    return keys;
  } finally {
    redis.disconnect();
  }
}
