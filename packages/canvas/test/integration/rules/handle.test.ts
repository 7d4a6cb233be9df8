/** What the handle of a run tells beside its result: counts, relatives, members and tasks as they end. */
import { once } from 'node:events';
import { chain, chunks, fallback, group, map } from '@umbel/canvas';
import { encryption, type RunCounts, UnknownJobError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../../test/engines.js';
import { toolbox } from '../../support/toolbox.js';

const soon = { timeout: '50s' } as const;

function prepare(engine: Engine, options: Parameters<Engine['app']>[0] = {}) {
  const app = engine.app(options);
  const numbers = app.task({
    name: 'numbers',
    input: z.number(),
    run: async (n) => Array.from({ length: n }, (_, i) => i),
  });
  const record = app.task({ name: 'record', input: z.unknown(), run: async () => 7 });
  const odd = app.task({
    name: 'odd',
    input: z.number(),
    run: async (n) => {
      if (n % 2 === 0) throw new Error(`${n} is even`);
      return n;
    },
  });
  return { app, numbers, record, odd, ...toolbox(app) };
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const indexes = (members: readonly { index: number }[]) =>
  members.map(({ index }) => index).sort((a, b) => a - b);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

onEveryEngine('counts', (engine) => {
  test('tell how far the tasks of a run have come', async () => {
    const { app, double, hold, echo, signals } = prepare(engine);
    const run = await chain(double, group([hold, double]), echo)
      .link(echo)
      .delay(1);
    expect(await run.counts()).toMatchObject({ total: 4, done: 0, waiting: 1, pending: 3, active: 0 });
    const held = once(signals, 'held');
    await app.worker().start();
    await held;
    await app.result(`${run.id}.0-1.1`).get(soon);
    expect(await run.counts()).toMatchObject({ total: 4, done: 2, completed: 2, active: 1, pending: 1 });
    signals.emit('release');
    await run.get(soon);
    expect(await run.counts()).toEqual({
      total: 4,
      done: 4,
      completed: 4,
      failed: 0,
      expired: 0,
      revoked: 0,
      skipped: 0,
      active: 0,
      waiting: 0,
      delayed: 0,
      pending: 0,
      unknown: 0,
    });
  });

  test('of a failed run, of a stopped one, of a call', async () => {
    const { app, double, echo, fail } = prepare(engine);
    const enough = app.task({ name: 'enough', input: z.number(), run: async (n, ctx) => ctx.stop(n) });
    await app.worker().start();
    const failed = await chain(double, fail, group([double, double]), echo).delay(1);
    await failed.outcome(soon);
    expect(await failed.counts()).toMatchObject({ total: 3, done: 3, completed: 1, failed: 2 });
    const stopped = await chain(enough, double, double).delay(1);
    await stopped.get(soon);
    expect(await stopped.counts()).toMatchObject({ total: 3, done: 3, completed: 1, skipped: 2 });
    const call = await double.delay(1);
    await call.get(soon);
    expect(await call.counts()).toMatchObject({ total: 1, completed: 1 });
    await expect(app.result('nothing').counts()).rejects.toThrow(UnknownJobError);
  });

  test('of large groups are counted', async () => {
    const { app, numbers, double, echo } = prepare(engine);
    const run = await chain(numbers, map(chain(double, echo))).delay(250);
    await app.worker({ concurrency: 20 }).start();
    await run.get(soon);
    expect(await run.counts()).toMatchObject({ total: 501, done: 501, completed: 501 });
  });

  test('are the progress of a run', async () => {
    const { app, numbers, double } = prepare(engine);
    const run = await chain(numbers, map(double)).delay(250);
    const seen: RunCounts[] = [];
    for await (const counts of run.progress(soon)) {
      seen.push(counts as RunCounts);
      if (seen.length === 1) await app.worker({ concurrency: 5 }).start();
    }
    expect(seen[0]).toMatchObject({ total: 1, done: 0 });
    expect(seen.at(-1)).toMatchObject({ total: 251, done: 251, completed: 251 });
    expect(seen.length).toBeGreaterThan(1);
    const done = seen.map((counts) => counts.done);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(new Set(seen.map((counts) => JSON.stringify(counts))).size).toBe(seen.length);
  });

  test('have in the end what members have added, however quickly those have ended', async () => {
    const { app, double } = prepare(engine);
    const first = app.task({ name: 'first', run: async () => 1 });
    const grows = app.task({
      name: 'grows',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.addToGroup(chain(double, double), n);
        return n;
      },
    });
    const last = app.task({ name: 'last', input: z.array(z.number()), run: async (all) => all.length });
    await app.worker({ concurrency: 20 }).start();
    for (let time = 0; time < 20; time += 1) {
      const run = await chain(first, group([grows]), last).delay();
      let told: unknown;
      for await (const counts of run.progress(soon)) told = counts;
      expect(told).toMatchObject({ total: 5, done: 5, completed: 5 });
    }
  });
});

onEveryEngine('relatives', (engine) => {
  test('32. children are the tasks that a job waited for, and the parent the one that waits for it', async () => {
    const { app, double, sum } = prepare(engine);
    await app.worker().start();
    const simple = await chain(double, group([double, chain(double, double)]), sum).delay(1);
    expect(await simple.get(soon)).toBe(4 + 8);
    const [last, ...others] = await simple.children();
    expect(others).toEqual([]);
    expect(last?.id).toBe(`${simple.id}.0`);
    expect(await last?.get(soon)).toBe(12);
    const members = (await last?.children()) ?? [];
    expect(members.map(({ id }) => id)).toEqual([`${simple.id}.0-1.0`, `${simple.id}.0-1.1`]);
    expect((await members[1]?.children())?.map(({ id }) => id)).toEqual([`${simple.id}.0-1.1-0`]);
    expect(await members[0]?.children()).toEqual([]);
    expect((await members[0]?.parent())?.id).toBe(last?.id);
    expect((await app.result(`${simple.id}.0-1.1-0`).parent())?.id).toBe(`${simple.id}.0-1.1`);
    expect((await app.result(`${simple.id}.0-0`).parent())?.id).toBe(last?.id);
    expect((await last?.parent())?.id).toBe(simple.id);
    expect(await simple.parent()).toBeUndefined();
    const other = engine.sameApp().result(simple.id);
    expect((await other.children()).map(({ id }) => id)).toEqual([last?.id]);
  });

  test('of a group that gives the result are its members, the first thousand', async () => {
    const { app, double, tick } = prepare(engine);
    const run = await group(upTo(1100).map((i) => double.si(i))).delay();
    expect(await run.children()).toEqual([]);
    await app.queue('default').pause();
    await app.worker().start();
    await vi.waitFor(async () => expect(await run.counts()).toMatchObject({ waiting: 1100 }), 5000);
    const children = await run.children();
    expect(children).toHaveLength(1000);
    expect(children[205]?.id).toBe(`${run.id}.0.205`);
    expect((await children[0]?.parent())?.id).toBe(run.id);
    const call = await tick.link(tick).delay();
    expect(await call.parent()).toBeUndefined();
    expect(await call.children()).toEqual([]);
    await expect(app.result('nothing').parent()).rejects.toThrow(UnknownJobError);
    await expect(app.result('nothing').children()).rejects.toThrow(UnknownJobError);
  });

  test('of a step after an empty group is the step before it', async () => {
    const { app, numbers, double, sum } = prepare(engine);
    await app.worker().start();
    const run = await chain(numbers, map(double), sum).delay(0);
    await run.get(soon);
    const [last] = await run.children();
    expect((await last?.children())?.map(({ id }) => id)).toEqual([`${run.id}.0-0`]);
  });
});

onEveryEngine('members', (engine) => {
  test('32. come as they finish, with their places', async () => {
    const { app, double, hold, signals } = prepare(engine);
    const run = await group([hold.si(1), double.si(2)]).delay();
    const held = once(signals, 'held');
    await app.worker().start();
    await held;
    const members = run.members(soon);
    expect(await members.next()).toEqual({ done: false, value: { index: 1, ok: true, value: 4 } });
    signals.emit('release');
    expect(await members.next()).toEqual({ done: false, value: { index: 0, ok: true, value: 1 } });
    expect(await members.next()).toEqual({ done: true, value: undefined });
    expect(await all(run)).toEqual([
      { index: 0, ok: true, value: 1 },
      { index: 1, ok: true, value: 4 },
    ]);
    expect('then' in run).toBe(false);
  });

  test('of a record have keys, also after a step and from another process', async () => {
    const { app, double, echo } = prepare(engine);
    const run = await chain(double, group({ one: double, two: group([echo, echo]) })).delay(1);
    await app.worker().start();
    const members = await all(engine.sameApp().result(run.id).members(soon));
    expect(members.sort((a, b) => a.index - b.index)).toEqual([
      { index: 0, key: 'one', ok: true, value: 4 },
      { index: 1, key: 'two', ok: true, value: [2, 2] },
    ]);
  });

  test('of large groups come once each, whatever the way they are sent', async () => {
    const { app, numbers, odd, double, echo } = prepare(engine);
    await app.worker({ concurrency: 20 }).start();
    const listed = await group.settled(upTo(250).map((i) => odd.si(i))).delay();
    const settled = await all(listed.members(soon));
    expect(indexes(settled)).toEqual(upTo(250));
    for (const member of settled) {
      expect(member).toMatchObject({ ok: true, value: { ok: member.index % 2 === 1 } });
    }
    const mapped = await chain(numbers, map(double)).delay(250);
    expect(indexes(await all(mapped))).toEqual(upTo(250));
    const lazy = await group(
      (function* () {
        for (const i of upTo(230)) yield echo.si(i);
      })(),
    ).delay();
    const members = await all(lazy);
    expect(members.sort((a, b) => a.index - b.index)).toEqual(
      upTo(230).map((index) => ({ index, ok: true, value: index })),
    );
    expect(await lazy.get(soon)).toHaveLength(230);
  });

  test('of a failed run are those that had ended', async () => {
    const { app, double, fail, tick } = prepare(engine);
    await app.worker().start();
    const run = await group([double.si(1), fail.si(0), tick.set({ countdown: '1h' })]).delay();
    await run.outcome(soon);
    await app.result(`${run.id}.0.0`).get(soon);
    expect((await all(run)).sort((a, b) => a.index - b.index)).toMatchObject([
      { index: 0, ok: true, value: 2 },
      { index: 1, ok: false, error: { task: 'fail', error: { name: 'Boom', message: 'it went wrong' } } },
    ]);
    await run.revoke();
    const early = await chain(fail, group([double, double])).delay(1);
    await early.outcome(soon);
    expect(await all(early)).toEqual([]);
  });

  test('of group.atLeast are those that have ended', async () => {
    const { app, double, fail, hold, signals } = prepare(engine);
    await app.worker().start();
    const run = await group.atLeast(2, [double.si(1), hold.si(1), fail.si(0), double.si(4)]).delay();
    const members = await all(run.members(soon));
    expect(members).toEqual(
      expect.arrayContaining([
        { index: 0, ok: true, value: 2 },
        { index: 3, ok: true, value: 8 },
      ]),
    );
    expect(members.some(({ index }) => index === 1)).toBe(false);
    signals.emit('release');
  });

  test('that others have added come last', async () => {
    const { app, double } = prepare(engine);
    const grow = app.task({
      name: 'grow',
      input: z.number(),
      run: async (n, ctx) => {
        await ctx.addToGroup(double, n + 10);
        await ctx.addToGroup(double, n + 20);
        return n;
      },
    });
    await app.worker().start();
    const run = await group([grow.si(1), double.si(1)]).delay();
    const whole = await run.get(soon);
    const members = await all(run);
    expect(members.map((member) => member.ok && member.value)).toEqual(expect.arrayContaining(whole));
    expect(members.slice(2)).toEqual([
      { index: 2, ok: true, value: 22 },
      { index: 3, ok: true, value: 42 },
    ]);
  });

  test('of what no group gives are those of the result', async () => {
    const { app, double, numbers, echo, fail } = prepare(engine);
    await app.worker().start();
    expect(await all(await double.delay(2))).toEqual([{ index: 0, ok: true, value: 4 }]);
    expect(await all(await chain(double, numbers).delay(1))).toEqual([
      { index: 0, ok: true, value: 0 },
      { index: 1, ok: true, value: 1 },
    ]);
    expect(await all(await echo.delay({ a: 1, b: 2 }))).toEqual([
      { index: 0, key: 'a', ok: true, value: 1 },
      { index: 1, key: 'b', ok: true, value: 2 },
    ]);
    expect(await all(await chunks(double, [1, 2, 3], 2).delay())).toHaveLength(3);
    expect(await all(await fail.delay(1))).toMatchObject([{ index: 0, ok: false, error: { task: 'fail' } }]);
    expect(await all(await group([]).delay())).toEqual([]);
    await expect(all(app.result('nothing').members())).rejects.toThrow(UnknownJobError);
  });

  test('are not waited for in a handler, as results are not', async () => {
    const { app, double } = prepare(engine);
    const impatient = app.task({
      name: 'impatient',
      run: async () => {
        const run = await group([double.si(1)]).delay();
        return (await all(run.members())).length;
      },
    });
    const patient = app.task({
      name: 'patient',
      run: async () => {
        const run = await group([double.si(1)]).delay();
        return (await all(run.members({ allowInTask: true }))).length;
      },
    });
    await app.worker().start();
    await expect((await impatient.delay()).get(soon)).rejects.toThrow(
      'a worker whose handlers all wait has no slot left',
    );
    expect(await (await patient.delay()).get(soon)).toBe(1);
  });

  test('end with the wait for them', async () => {
    const { double } = prepare(engine);
    const run = await group([double.si(1)]).delay();
    await expect(all(run.members({ timeout: 20 }))).rejects.toThrow('has no result after 20 ms');
  });
});

onEveryEngine('page', (engine) => {
  test('gives members in declared order, with those that have not ended', async () => {
    const { app, double, hold, fail, signals } = prepare(engine);
    const run = await group.settled([double.si(1), hold.si(1), fail.si(0)]).delay();
    expect(await run.page()).toEqual(upTo(3).map((index) => ({ index, pending: true })));
    const held = once(signals, 'held');
    await app.worker().start();
    await held;
    await app.result(`${run.id}.0.2`).outcome(soon);
    expect(await run.page({ offset: 1 })).toMatchObject([
      { index: 1, pending: true },
      { index: 2, ok: true, value: { ok: false } },
    ]);
    signals.emit('release');
    await run.get(soon);
    expect(await run.page({ limit: 2 })).toEqual([
      { index: 0, ok: true, value: { ok: true, value: 2 } },
      { index: 1, ok: true, value: { ok: true, value: 1 } },
    ]);
    expect(await run.page({ offset: 3 })).toEqual([]);
    await expect(run.page({ limit: 0 })).rejects.toThrow('limit');
  });

  test('reads of a large group only what it needs', async () => {
    const { app, numbers, double } = prepare(engine);
    await app.worker({ concurrency: 20 }).start();
    const run = await chain(numbers, map(double)).delay(350);
    await run.get(soon);
    expect(await run.page({ offset: 95, limit: 110 })).toEqual(
      upTo(110).map((i) => ({ index: 95 + i, ok: true, value: (95 + i) * 2 })),
    );
    expect(await run.page({ offset: 349 })).toEqual([{ index: 349, ok: true, value: 698 }]);
    for (const slice of [0, 1])
      await engine.bareQueue('umbel').remove(`${run.id}.0/${slice}`, { removeChildren: false });
    expect(await run.page({ offset: 200, limit: 2 })).toHaveLength(2);
    expect(await run.page({ offset: 0, limit: 100 })).toEqual([]);
  });

  test('of what no group gives are items of the result', async () => {
    const { app, numbers } = prepare(engine);
    const call = await numbers.delay(3);
    expect(await call.page()).toEqual([{ index: 0, pending: true }]);
    await app.worker().start();
    await call.get(soon);
    expect(await call.page({ offset: 1, limit: 1 })).toEqual([{ index: 1, ok: true, value: 1 }]);
    expect(await (await group([]).delay()).page()).toEqual([]);
  });
});

onEveryEngine('collect', (engine) => {
  test('32. collect gives every task of a run as it ends, once', async () => {
    const { app, double, hold, fail, record, signals } = prepare(engine);
    const run = await chain(double, group([fallback(fail, record), hold, chain(double, double)])).delay(1);
    const held = once(signals, 'held');
    await app.worker().start();
    await held;
    const collected: string[] = [];
    const told = (async () => {
      for await (const { id, task, ok } of run.collect(soon)) {
        collected.push(`${id.slice(run.id.length + 1)} ${task} ${ok}`);
        if (collected.length === 5) signals.emit('release');
      }
    })();
    await told;
    expect(collected.sort()).toEqual([
      '0-0 double true',
      '0.0^ fail false',
      '0.0^b record true',
      '0.1 hold true',
      '0.2 double true',
      '0.2-0 double true',
    ]);
    expect(await run.get(soon)).toEqual([7, 2, 8]);
  });

  test('gives values and failures', async () => {
    const { app, double, fail } = prepare(engine);
    await app.worker().start();
    const run = await chain(double, fail, double).delay(1);
    await run.outcome(soon);
    const [first, second, third] = await all(run.collect());
    expect(first).toEqual({ id: `${run.id}.0-0`, task: 'double', ok: true, value: 2 });
    expect(second).toMatchObject({ id: `${run.id}.0-1`, task: 'fail', ok: false, error: { task: 'fail' } });
    expect(third).toMatchObject({ id: `${run.id}.0`, task: 'double', ok: false, error: { task: 'fail' } });
    expect(await all((await double.delay(1)).collect(soon))).toMatchObject([{ task: 'double', value: 2 }]);
    await expect(all(app.result('nothing').collect())).rejects.toThrow(UnknownJobError);
  });

  test('gives the members of a large group, with their steps', async () => {
    const { app, numbers, double, echo, sum } = prepare(engine);
    await app.worker({ concurrency: 20 }).start();
    const run = await chain(numbers, map(chain(double, echo)), sum as never).delay(150);
    const tasks = await all(run.collect(soon));
    expect(tasks).toHaveLength(2 + 2 * 150);
    expect(new Set(tasks.map(({ id }) => id)).size).toBe(tasks.length);
    expect(tasks.at(-1)).toMatchObject({ task: 'sum' });
  });

  test('leaves out what was skipped', async () => {
    const { app, double } = prepare(engine);
    const enough = app.task({ name: 'enough', input: z.number(), run: async (n, ctx) => ctx.stop(n) });
    await app.worker().start();
    const run = await chain(enough, double, double).delay(1);
    expect(await all(run.collect(soon))).toMatchObject([{ task: 'enough', ok: true, value: 1 }]);
  });
});

onEveryEngine('sealed values', (engine) => {
  test('are told in the clear', async () => {
    const codecs = [encryption({ keys: { a: new Uint8Array(32) }, current: 'a' })];
    const { app, double, fail } = prepare(engine, { codecs });
    await app.worker().start();
    const run = await chain(double, group.settled([double, fail])).delay(1);
    const members = [
      { index: 0, ok: true, value: { ok: true, value: 4 } },
      { index: 1, ok: true, value: { ok: false, error: { error: { message: 'it went wrong' } } } },
    ];
    expect((await all(run.members(soon))).sort((a, b) => a.index - b.index)).toMatchObject(members);
    expect(await run.page()).toMatchObject(members);
    expect(
      (await all(run.collect())).map((task) => (task.ok ? task.value : task.error.error.message)).sort(),
    ).toEqual([2, 4, 'it went wrong']);
  });
});

onEveryEngine('a run of which parts are gone', (engine) => {
  test('tells what is left', async () => {
    const { app, double, sum } = prepare(engine);
    await app.worker().start();
    const run = await chain(double, group([double, double]), sum).delay(1);
    await run.get(soon);
    await app.result(`${run.id}.0-1.0`).forget();
    await app.result(`${run.id}.0`).forget();
    await vi.waitFor(async () => expect(await run.counts()).toMatchObject({ unknown: 1 }));
    expect(await all(run.collect())).toEqual([]);
    expect(await all(run)).toEqual([{ index: 0, ok: true, value: 8 }]);
    const [last] = await run.children();
    expect(await last?.state()).toBe('unknown');
    await expect(last?.graph()).rejects.toThrow(UnknownJobError);
    await run.forget();
    await expect(run.children()).rejects.toThrow(UnknownJobError);
  });
});
