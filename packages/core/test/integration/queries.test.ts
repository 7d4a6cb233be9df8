import { chain, group } from '@umbel/canvas';
import { type App, InvalidOptionError, type JobQuery, UnknownQueueError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

/** Every page of a query. */
async function pages<Item>(
  list: (page: { limit: number; cursor?: string }) => Promise<{ items: readonly Item[]; cursor?: string }>,
  limit: number,
): Promise<Item[][]> {
  const all: Item[][] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await list({ limit, ...(cursor !== undefined && { cursor }) });
    all.push([...page.items]);
    cursor = page.cursor;
    if (cursor === undefined) return all;
  }
}

const idsOf = (items: readonly { readonly id: string }[]) => items.map(({ id }) => id);

/** An app with jobs in every state. */
async function everyState(app: App) {
  const gate = deferred();
  const ok = app.task({ name: 'ok', input: z.number(), run: async (n) => n });
  const bad = app.task({
    name: 'bad',
    queue: 'other',
    run: async (): Promise<null> => {
      throw new Error('no');
    },
  });
  const slow = app.task({
    name: 'slow',
    queue: 'slow',
    states: ['dozing'],
    run: async (_, { setState }) => {
      await setState('dozing');
      return gate.promise;
    },
  });
  const idle = app.task({ name: 'idle', queue: 'idle', input: z.number(), run: async (n) => n });
  await app.worker({ queues: ['default', 'other', 'slow'], concurrency: 10 }).start();
  const completed = await ok.applyAsync(1, { tags: ['green', 'both'] });
  const failed = await bad.applyAsync(undefined, {
    tags: ['red', 'both'],
    displayName: 'Bad one',
    headers: { a: 'b' },
  });
  const expired = await ok.applyAsync(2, { expires: new Date(Date.now() - 1) });
  const revoked = await ok.applyAsync(3, { countdown: '1h' });
  await revoked.revoke();
  const active = await slow.delay();
  const delayed = await ok.applyAsync(4, { countdown: '1h' });
  const waiting = await idle.delay(5);
  const prioritized = await idle.applyAsync(6, { priority: 3 });
  for (const each of [completed, failed, expired, revoked]) await each.outcome(soon);
  await vi.waitFor(async () => expect(await active.state()).toBe('dozing'));
  return { gate, completed, failed, expired, revoked, active, delayed, waiting, prioritized };
}

onEveryEngine('jobs', (engine) => {
  test('are found by state, task, queue, tag and time, and by all of it together', async () => {
    const app = engine.app();
    const jobs = await everyState(app);
    const found = async (query: JobQuery) => idsOf((await app.jobs.list(query)).items).sort();
    const ids = (...names: Exclude<keyof typeof jobs, 'gate'>[]) => names.map((name) => jobs[name].id).sort();
    expect(await found({ state: 'completed' })).toEqual(ids('completed'));
    expect(await found({ state: 'failed' })).toEqual(ids('failed'));
    expect(await found({ state: 'expired' })).toEqual(ids('expired'));
    expect(await found({ state: 'revoked' })).toEqual(ids('revoked'));
    expect(await found({ state: 'skipped' })).toEqual([]);
    expect(await found({ state: 'active' })).toEqual(ids('active'));
    expect(await found({ state: 'delayed' })).toEqual(ids('delayed'));
    expect(await found({ state: 'waiting' })).toEqual(ids('waiting', 'prioritized'));
    expect(await found({ state: ['failed', 'active'] })).toEqual(ids('failed', 'active'));
    expect(await found({})).toEqual(
      ids('completed', 'failed', 'expired', 'revoked', 'active', 'delayed', 'waiting', 'prioritized'),
    );
    expect(await found({ task: 'ok' })).toEqual(ids('completed', 'expired', 'revoked', 'delayed'));
    expect(await found({ queue: 'other' })).toEqual(ids('failed'));
    expect(await found({ tag: 'both' })).toEqual(ids('completed', 'failed'));
    expect(await found({ tag: 'both', state: 'failed' })).toEqual(ids('failed'));
    expect(await found({ tag: 'both', queue: 'default', task: 'ok', state: 'completed' })).toEqual(
      ids('completed'),
    );
    expect(await found({ tag: 'nothing' })).toEqual([]);
    const { finishedAt = new Date() } = await jobs.completed.info();
    const after = new Date(finishedAt.getTime() + 1);
    expect(await found({ state: 'completed', since: finishedAt, until: after })).toEqual(ids('completed'));
    expect(await found({ state: 'completed', since: after })).toEqual([]);
    expect(await found({ state: 'completed', until: finishedAt })).toEqual([]);
    expect(await found({ tag: 'both', until: finishedAt, state: 'completed' })).toEqual([]);
    expect(await found({ since: new Date(Date.now() + 3_600_000) })).toEqual([]);
    jobs.gate.resolve(null);
  });

  test('tell their facts, one by one and in lists', async () => {
    const app = engine.app();
    const { gate, failed, active, completed, expired } = await everyState(app);
    const [item] = (await app.jobs.list({ state: 'failed' })).items;
    expect(item).toEqual({
      ...(await failed.info()),
      state: 'failed',
      displayName: 'Bad one',
      headers: { a: 'b' },
      tags: ['red', 'both'],
      reason: 'no',
    });
    expect(await app.jobs.get(failed.id)).toEqual({
      ...item,
      input: undefined,
      worker: expect.any(String),
      errors: [expect.stringContaining('no')],
      error: expect.objectContaining({ message: 'no' }),
    });
    expect(await app.jobs.get(active.id)).toMatchObject({
      state: 'active',
      ownState: 'dozing',
      task: 'slow',
    });
    expect(await app.jobs.get(completed.id)).toMatchObject({ state: 'completed', input: 1 });
    expect((await app.jobs.get(expired.id))?.expiresAt).toBeInstanceOf(Date);
    expect(await app.jobs.get('nothing')).toBeUndefined();
    expect(await app.jobs.get('meta')).toBeUndefined();
    const counts = await app.jobs.counts();
    expect(counts.total).toEqual({
      waiting: 2,
      delayed: 1,
      'waiting-children': 0,
      active: 1,
      completed: 1,
      failed: 3,
    });
    expect(counts.queues.other).toMatchObject({ failed: 1, completed: 0 });
    gate.resolve(null);
  });

  test('that have ended are given page by page, the latest first, each once, while others end', async () => {
    const app = engine.app();
    const even = app.task({ name: 'even', queue: 'even', input: z.number(), run: async (n) => n });
    const odd = app.task({ name: 'odd', queue: 'odd', input: z.number(), run: async (n) => n });
    await app.worker({ concurrency: 20 }).start();
    const inputs = Array.from({ length: 650 }, (_, n) => n);
    const first = (await Promise.all([even.sendMany(inputs), odd.sendMany(inputs)])).flat();
    await Promise.all(first.map((result) => result.get(soon)));
    const more: Promise<unknown>[] = [];
    let known = '';
    const all = await pages(async (page) => {
      // Others end between two pages, and some of those that were given are gone.
      more.push(...(await even.sendMany([1, 2, 3])).map((result) => result.get(soon)));
      await Promise.all(more);
      if (known !== '') await app.result(known).forget();
      const next = await app.jobs.list({ state: 'completed', ...page });
      known = next.items[0]?.id ?? '';
      return next;
    }, 70);
    expect(all.every((page, index) => page.length === 70 || index === all.length - 1)).toBe(true);
    const items = all.flat();
    const times = items.map(({ finishedAt }) => finishedAt?.getTime() ?? 0);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    const ids = idsOf(items);
    expect(new Set(ids).size).toBe(ids.length);
    const given = new Set(ids);
    expect(idsOf(first).filter((id) => !given.has(id))).toEqual([]);
    const middle = items[600]?.finishedAt ?? new Date();
    const until = await app.jobs.list({ state: 'completed', until: middle, limit: 1000, queue: 'odd' });
    const expected = items.filter((item) => item.queue === 'odd' && (item.finishedAt ?? 0) < middle);
    const gone = new Set(idsOf(expected).filter((id) => !idsOf(until.items).includes(id)));
    expect(gone.size).toBeLessThan(15);
    for (const id of gone) expect(await app.result(id).state()).toBe('unknown');
  });

  test('that move on while they are listed are given once by all(), and none is missed', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    const results = await task.sendMany(Array.from({ length: 1200 }, (_, n) => n));
    const ids: string[] = [];
    let isStarted = false;
    for await (const job of app.jobs.all()) {
      ids.push(job.id);
      if (ids.length === 150 && !isStarted) {
        isStarted = true;
        await app.worker({ concurrency: 20 }).start();
        await vi.waitFor(
          async () => expect((await app.jobs.counts()).total.completed).toBeGreaterThan(400),
          soon1,
        );
      }
    }
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted()).toEqual(idsOf(results).toSorted());
  });

  test('that wait are given page by page while others come', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    const first = [
      ...(await task.sendMany(Array.from({ length: 300 }, (_, n) => n))),
      ...(await task.sendMany(
        Array.from({ length: 200 }, (_, n) => n),
        { priority: 2 },
      )),
      ...(await task.sendMany(
        Array.from({ length: 200 }, (_, n) => n),
        { countdown: '1h' },
      )),
    ];
    const all = await pages(async (page) => {
      const next = await app.jobs.list({ state: ['waiting', 'delayed'], ...page });
      await task.sendMany([1, 2]);
      await task.applyAsync(3, { priority: 1 });
      await task.applyAsync(4, { countdown: '2h' });
      return next;
    }, 45);
    const ids = idsOf(all.flat());
    expect(new Set(ids).size).toBe(ids.length);
    const given = new Set(ids);
    expect(idsOf(first).filter((id) => !given.has(id))).toEqual([]);
  });

  test('that few of many are, come in short pages', async () => {
    const app = engine.app();
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    const rare = app.task({ name: 'rare', run: async () => null });
    const { id } = await rare.delay();
    await task.sendMany(Array.from({ length: 1500 }, (_, n) => n));
    const first = await app.jobs.list({ task: 'rare' });
    expect(first.items).toEqual([]);
    const second = await app.jobs.list({ task: 'rare', cursor: first.cursor ?? '' });
    expect(idsOf(second.items)).toEqual([id]);
    expect(second.cursor).toBeUndefined();
    const brief = await app.jobs.list({ task: 'rare', timeBudget: 0 });
    expect(brief).toMatchObject({ items: [], read: 50, cursor: expect.any(String) });
    const all = await pages((page) => app.jobs.list({ task: 'rare', timeBudget: 0, ...page }), 50);
    expect(idsOf(all.flat())).toEqual([id]);
    expect(all.length).toBe(Math.ceil(1501 / 50));
  });

  test('are not looked for by what is no query', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: async () => null });
    const { cursor = '' } = await (async () => {
      await app.send('task');
      await app.send('task');
      return app.jobs.list({ limit: 1 });
    })();
    expect(cursor).not.toBe('');
    const forged = `${cursor.split('.')[0]}.${Buffer.from('{"kind":"live","set":"x"}').toString('base64url')}`;
    const bad = [
      { state: 'unknown' },
      { state: [] },
      { state: 'done' },
      { task: 7 },
      { timeBudget: -1 },
      { tag: '' },
      { run: '' },
      { since: 7 },
      { until: new Date(Number.NaN) },
      { since: new Date(2), until: new Date(1) },
      { limit: 0 },
      { limit: 1001 },
      { cursor: 'x' },
      { cursor: 7 },
      { cursor: forged },
      { cursor, state: 'waiting' },
      { queue: 'umbel' },
    ] as never[];
    for (const query of bad)
      await expect(app.jobs.list(query), JSON.stringify(query)).rejects.toThrow(InvalidOptionError);
    await expect(app.runs.list({ cursor })).rejects.toThrow(InvalidOptionError);
    await expect(app.jobs.list({ queue: 'nowhere' })).rejects.toThrow(UnknownQueueError);
    expect((await app.jobs.list({ limit: 1, cursor })).items).toHaveLength(1);
  });
});

const soon1 = { timeout: 20_000 };

onEveryEngine('runs', (engine) => {
  const setUp = async () => {
    const app = engine.app();
    const ok = app.task({ name: 'ok', input: z.number(), run: async (n) => n });
    const bad = app.task({
      name: 'bad',
      input: z.number(),
      run: async (): Promise<number> => {
        throw new Error('no');
      },
    });
    const sum = app.task({ name: 'sum', input: z.array(z.number()), run: async (all) => all.length });
    return { app, ok, bad, sum };
  };

  test('are found by state, tag and time, with their facts', async () => {
    const { app, ok, bad, sum } = await setUp();
    await app.worker().start();
    const good = await chain(ok, group([ok, ok]), sum).applyAsync(1, { tags: ['a'] });
    const failing = await chain(ok, bad).applyAsync(1, { tags: ['a', 'b'] });
    const call = await ok.applyAsync(1, { link: ok });
    await Promise.all([good, failing, call].map((result) => result.outcome(soon)));
    const found = async (query: Parameters<App['runs']['list']>[0]) =>
      idsOf((await app.runs.list(query)).items);
    expect(await found({ state: 'completed', tag: 'a' })).toEqual([good.id]);
    expect(await found({ state: 'failed' })).toEqual([failing.id]);
    expect((await found({ tag: 'a' })).sort()).toEqual([good.id, failing.id].sort());
    await vi.waitFor(async () => expect((await found({})).length).toBe(3), soon1);
    expect((await found({})).sort()).toEqual([good.id, failing.id, call.id.slice(0, -2)].sort());
    expect(await found({ since: new Date(Date.now() + 3_600_000) })).toEqual([]);
    expect(await app.runs.get(failing.id)).toMatchObject({
      id: failing.id,
      state: 'failed',
      tags: ['a', 'b'],
      reason: 'no',
      error: { message: 'no' },
      counts: { completed: 1, failed: 1 },
    });
    const withGraph = await app.runs.get(failing.id, { graph: true });
    expect(withGraph?.graph?.toJSON()).toEqual((await failing.graph()).toJSON());
    expect(withGraph?.counts).toMatchObject({ completed: 1, failed: 1 });
    const unknown: object = { graphs: true };
    await expect(app.runs.get(failing.id, unknown)).rejects.toThrow(InvalidOptionError);
    await expect(app.runs.get(failing.id, { graph: 1 as never })).rejects.toThrow(InvalidOptionError);
    expect(await app.runs.get('nothing')).toBeUndefined();
    expect(await app.runs.get(`${good.id}.0`)).toBeUndefined();
  });

  test('give their jobs page by page, each once', async () => {
    const { app, ok, bad, sum } = await setUp();
    const members = Array.from({ length: 1100 }, () => ok);
    const run = await chain(ok, group(members), sum).delay(1);
    const small = await group.settled([ok, bad]).delay(1);
    await app.worker({ concurrency: 20 }).start();
    await run.get(soon);
    await small.outcome(soon);
    const all = await pages((page) => app.jobs.list({ run: run.id, ...page }), 300);
    const ids = idsOf(all.flat());
    expect(ids).toHaveLength(1102);
    expect(new Set(ids).size).toBe(1102);
    expect(all.flat().every((job) => job.runId === run.id)).toBe(true);
    expect((await app.jobs.list({ run: small.id, state: 'failed' })).items).toMatchObject([{ task: 'bad' }]);
    expect((await app.jobs.list({ run: small.id, task: 'ok' })).items).toMatchObject([
      { state: 'completed' },
    ]);
    expect((await app.jobs.list({ run: 'nothing' })).items).toEqual([]);
  });

  test('and calls that bear a tag are found page by page, and the steps that do', async () => {
    const { app, ok, sum } = await setUp();
    const calls = await ok.sendMany([1, 2, 3, 4, 5], { tags: ['t'] });
    const run = await chain(ok, group([ok, ok.set({ tags: ['t'] }), ok]), sum.set({ tags: ['t'] })).delay(1);
    const whole = await chain(ok, ok).applyAsync(1, { tags: ['t'] });
    await app.worker().start();
    await Promise.all([...calls, run, whole].map((result) => result.outcome(soon)));
    const all = await pages((page) => app.jobs.list({ tag: 't', ...page }), 2);
    const items = all.flat();
    expect(new Set(idsOf(items)).size).toBe(items.length);
    expect(items.filter(({ runId }) => runId === undefined)).toHaveLength(5);
    expect(
      items
        .filter(({ runId }) => runId === run.id)
        .map(({ task }) => task)
        .sort(),
    ).toEqual(['ok', 'sum']);
    expect(items.every(({ tags }) => tags.includes('t'))).toBe(true);
    const runs = await pages((page) => app.runs.list({ tag: 't', ...page }), 1);
    expect(idsOf(runs.flat()).sort()).toEqual([run.id, whole.id].sort());
    const every: string[] = [];
    for await (const { id } of app.runs.all({ state: 'completed' })) every.push(id);
    expect(every.sort()).toEqual([run.id, whole.id].sort());
  });
});

function deferred() {
  let resolve: (value: null) => void = () => {};
  const promise = new Promise<null>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
