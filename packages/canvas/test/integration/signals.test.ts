/** Waits for signals, on every engine: who wins, what is kept, and what survives. */
import { chain, fromJSON, group, map, waitFor } from '@umbel/canvas';
import { type AppEvent, SignalTimeoutError, TaskFailedError, UnrecoverableError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

const Decision = z.object({ by: z.string(), ok: z.boolean() });

function tasksOf(engine: Engine) {
  const app = engine.app();
  const approved = app.signal({ name: 'expense.approved', payload: Decision });
  const booked: unknown[] = [];
  const draft = app.task({
    name: 'draft',
    input: z.object({ id: z.string() }),
    run: async ({ id }) => ({ id, amount: 12 }),
  });
  const book = app.task({
    name: 'book',
    input: z.looseObject({}),
    run: async (input) => {
      booked.push(input);
      return input;
    },
  });
  return { app, approved, draft, book, booked };
}

type Tasks = ReturnType<typeof tasksOf>;

async function start(engine: Engine): Promise<Tasks> {
  const tasks = tasksOf(engine);
  await tasks.app.worker({ repairInterval: '1h' }).start();
  return tasks;
}

/** Waits until the store has an open wait with this key. */
async function untilWaiting({ app }: Pick<Tasks, 'app'>, key: string): Promise<void> {
  await expect.poll(async () => (await app.signals.waiting({ key })).items.length).toBe(1);
}

onEveryEngine('waitFor', (engine) => {
  test('passes the payload of a signal that is sent while it waits', async () => {
    const tasks = await start(engine);
    const { approved, draft, book, booked } = tasks;
    const run = await chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book).delay({ id: 'a' });
    await untilWaiting(tasks, 'a');
    expect(booked).toEqual([]);
    expect(await approved.send('a', { by: 'ann', ok: true })).toBe('accepted');
    expect(await run.get(soon)).toEqual({ by: 'ann', ok: true });
    expect(await approved.send('a', { by: 'bob', ok: false })).toBe('duplicate');
    expect(booked).toEqual([{ by: 'ann', ok: true }]);
    await expect.poll(async () => (await tasks.app.signals.waiting()).items).toEqual([]);
  });

  test('says in the graph and in its facts what it waits for', async () => {
    const tasks = await start(engine);
    const { app, approved, draft, book } = tasks;
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book);
    const planned = {
      kind: 'waitFor',
      label: 'wait for expense.approved',
      signal: { name: 'expense.approved' },
    };
    expect(flow.graph().nodes).toMatchObject([{ label: 'draft' }, planned, { label: 'book' }]);
    expect(flow.graph().jobs).toBe(2);
    const run = await flow.delay({ id: 'g' });
    await untilWaiting(tasks, 'g');
    const begun = { ...planned, signal: { name: 'expense.approved', key: 'g' }, until: expect.any(Date) };
    const nodeNow = async () => (await run.graph()).nodes.find(({ kind }) => kind === 'waitFor');
    await expect.poll(nodeNow).toMatchObject({ ...begun, state: 'delayed' });
    const until = (await app.signals.waiting({ key: 'g' })).items[0]?.until;
    expect((await nodeNow())?.until).toEqual(until);
    expect((await app.jobs.get(`${run.id}.0-1`))?.wait).toEqual({ ...begun, until });
    expect(await run.counts()).toMatchObject({ total: 2, done: 1 });
    await approved.send('g', { by: 'ann', ok: true });
    await run.get(soon);
    expect(await nodeNow()).toMatchObject({ state: 'completed', signal: { key: 'g' } });
    expect(await nodeNow()).not.toHaveProperty('until');
    expect((await app.jobs.get(`${run.id}.0-1`))?.wait).toBeUndefined();
    expect(await app.jobs.get(run.id)).toBeUndefined();
  });

  test('takes a signal that was sent before it starts; the first one wins', async () => {
    const { approved, draft, book } = await start(engine);
    expect(await approved.send('b', { by: 'first', ok: true })).toBe('accepted');
    expect(await approved.send('b', { by: 'second', ok: false })).toBe('duplicate');
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d', into: 'decision' }), book);
    const run = await flow.delay({ id: 'b' });
    expect(await run.get(soon)).toEqual({ id: 'b', amount: 12, decision: { by: 'first', ok: true } });
    expect(await approved.send('b', { by: 'third', ok: false })).toBe('duplicate');
  });

  test('ends with the value for the timeout, and a later signal is too late', async () => {
    const { approved, draft, book } = await start(engine);
    const late = { by: 'system', ok: false };
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: 50, onTimeout: late }), book);
    const run = await flow.delay({ id: 'c' });
    expect(await run.get(soon)).toEqual(late);
    expect(await approved.send('c', { by: 'ann', ok: true })).toBe('tooLate');
  });

  test('fails with a SignalTimeoutError without such a value, and waits again after a resume', async () => {
    const tasks = await start(engine);
    const { approved, draft, book } = tasks;
    const run = await chain(draft, waitFor(approved, { key: 'id', timeout: 400 }), book).delay({ id: 'd' });
    const error: unknown = await run.get(soon).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TaskFailedError);
    const { cause, task } = error as TaskFailedError;
    expect(task).toBe('expense.approved');
    expect(cause).toBeInstanceOf(SignalTimeoutError);
    expect(cause).toMatchObject({ code: 'SIGNAL_TIMEOUT', signal: 'expense.approved', key: 'd' });
    expect(await approved.send('d', { by: 'ann', ok: true })).toBe('tooLate');
    await run.resume();
    expect(await approved.send('d', { by: 'bob', ok: true })).toBe('accepted');
    expect(await run.get(soon)).toEqual({ by: 'bob', ok: true });
  });

  test('a revoked wait takes no signal', async () => {
    const tasks = await start(engine);
    const { approved, draft, book, booked } = tasks;
    const run = await chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book).delay({ id: 'e' });
    await untilWaiting(tasks, 'e');
    await run.revoke();
    expect(await approved.send('e', { by: 'ann', ok: true })).toBe('tooLate');
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(booked).toEqual([]);
    await run.resume();
    await untilWaiting(tasks, 'e');
    expect(await approved.send('e', { by: 'ann', ok: true })).toBe('accepted');
    expect(await run.get(soon)).toEqual({ by: 'ann', ok: true });
  });

  test('an expired run ends its wait', async () => {
    const tasks = await start(engine);
    const { approved, draft, book } = tasks;
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book);
    // The wait has to begin before: PostgreSQL confirms each step on disk.
    const run = await flow.applyAsync({ id: 'f' }, { expires: engine.isSql ? 5000 : 300 });
    if (engine.isSql) await untilWaiting(tasks, 'f');
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'expired' });
    expect(await approved.send('f', { by: 'ann', ok: true })).toBe('tooLate');
  });

  test('without a key the id of the run is the key; a text can be the key', async () => {
    const tasks = await start(engine);
    const { approved, book } = tasks;
    const run = await chain(waitFor(approved, { timeout: 'never' }), book).delay();
    await untilWaiting(tasks, run.id);
    expect(await approved.send(run.id, { by: 'ann', ok: true })).toBe('accepted');
    expect(await run.get(soon)).toEqual({ by: 'ann', ok: true });
    const flow = chain(waitFor(approved, { key: { text: 'the only one' }, timeout: 'never' }), book);
    await approved.send('the only one', { by: 'bob', ok: false });
    expect(await (await flow.delay()).get(soon)).toEqual({ by: 'bob', ok: false });
  });

  test('each member of a group and of a map waits by itself', async () => {
    const tasks = await start(engine);
    const { app, approved } = tasks;
    const wait = waitFor(approved, { key: 'id', timeout: '7d', into: 'decision' });
    const run = await map(wait, [{ id: 'm1' }, { id: 'm2' }, { id: 'm3' }]).delay();
    for (const key of ['m3', 'm1', 'm2']) {
      await untilWaiting(tasks, key);
      await approved.send(key, { by: key, ok: true });
    }
    expect(await run.get(soon)).toEqual(
      ['m1', 'm2', 'm3'].map((id) => ({ id, decision: { by: id, ok: true } })),
    );
    const both = await group({
      one: waitFor(approved, { key: { text: 'g1' }, timeout: '7d' }),
      two: waitFor(approved, { key: { text: 'g2' }, timeout: 20, onTimeout: null }),
    }).delay();
    await approved.send('g1', { by: 'ann', ok: true });
    expect(await both.get(soon)).toEqual({ one: { by: 'ann', ok: true }, two: null });
    expect((await app.signals.waiting()).items.filter(({ key }) => key.startsWith('g'))).toEqual([]);
  });

  test('two waits with the same key at the same time are an error of the later one', async () => {
    const tasks = await start(engine);
    const { approved, draft, book } = tasks;
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book);
    const first = await flow.delay({ id: 'h' });
    await untilWaiting(tasks, 'h');
    const second = await flow.delay({ id: 'h' });
    await expect(second.get(soon)).rejects.toThrow(
      /already waits for signal "expense.approved" with the key "h"/,
    );
    await approved.send('h', { by: 'ann', ok: true });
    expect(await first.get(soon)).toEqual({ by: 'ann', ok: true });
    await second.resume();
    await untilWaiting(tasks, 'h');
    expect(await approved.send('h', { by: 'bob', ok: true })).toBe('accepted');
    expect(await second.get(soon)).toEqual({ by: 'bob', ok: true });
  });

  test('a wait whose run was removed accepts nothing, and its key is free', async () => {
    const tasks = await start(engine);
    const { app, approved, draft, book } = tasks;
    const fail = app.task({
      name: 'fail',
      run: async (): Promise<never> => {
        throw new UnrecoverableError('broken');
      },
    });
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book);
    for (const key of ['i', 'j']) {
      const ask = waitFor(approved, { key: { text: key }, timeout: '7d' });
      const failing = chain(draft.si({ id: key }), fail.si());
      const run = await group([ask, failing]).delay();
      await expect(run.get(soon)).rejects.toThrow('broken');
      await untilWaiting(tasks, key);
      await run.forget();
    }
    expect(await approved.send('i', { by: 'ann', ok: true })).toBe('tooLate');
    const third = await flow.delay({ id: 'j' });
    await expect
      .poll(async () => (await app.signals.waiting({ key: 'j' })).items.map(({ runId }) => runId))
      .toEqual([third.id]);
    await approved.send('j', { by: 'ann', ok: true });
    expect(await third.get(soon)).toEqual({ by: 'ann', ok: true });
  });

  test('payloads are checked where they are sent and again where they are taken', async () => {
    const tasks = await start(engine);
    const { approved, draft, book } = tasks;
    // @ts-expect-error `ok` is missing
    await expect(approved.send('k', { by: 'ann' })).rejects.toThrow(
      'The payload of signal "expense.approved"',
    );
    // Another program of the app, with an older schema.
    const other = engine.sameApp();
    const loose = other.signal({ name: 'expense.approved', payload: z.object({ by: z.string() }) });
    const run = await chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book).delay({ id: 'k' });
    expect(await loose.send('k', { by: 'ann' })).toBe('accepted');
    await expect(run.get(soon)).rejects.toThrow(/payload\.ok/);
    // The payload was accepted, so it is not lost: a worker that can read it continues.
    await expect(async () => {
      await run.resume();
      await run.get(soon);
    }).rejects.toThrow(/payload\.ok/);
    expect(await approved.send('k', { by: 'ann', ok: true })).toBe('duplicate');
  });

  test('a value that cannot be the key fails the wait with words', async () => {
    const { approved, book } = await start(engine);
    const flow = chain(book, waitFor(approved, { key: 'id', timeout: '7d' }) as never);
    await expect((await flow.delay({ id: true })).get(soon)).rejects.toThrow(
      /input\.id: expected text .* got/,
    );
    await expect((await flow.delay({})).get(soon)).rejects.toThrow(/input\.id: expected text .* got/);
  });

  test('a wait works from its JSON form', async () => {
    const tasks = await start(engine);
    const { app, approved, draft, book } = tasks;
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d', into: 'decision' }), book);
    const restored = fromJSON(app, JSON.parse(JSON.stringify(flow)));
    expect(restored.toJSON()).toEqual(flow.toJSON());
    const run = await restored.delay({ id: 'l' });
    await approved.send('l', { by: 'ann', ok: true });
    expect(await run.get(soon)).toMatchObject({ decision: { by: 'ann' } });
  });

  test('a handler can ask a person by replacing itself', async () => {
    const tasks = await start(engine);
    const { app, approved } = tasks;
    const finish = app.task({ name: 'finish', input: Decision, run: async ({ by }) => `decided by ${by}` });
    const ask = app.task({
      name: 'ask',
      input: z.object({ id: z.string() }),
      output: z.string(),
      run: ({ id }, ctx) =>
        ctx.replace(chain(waitFor(approved, { key: { text: id }, timeout: '7d' }), finish)),
    });
    const run = await chain(
      ask,
      tasks.app.task({ name: 'shout', input: z.string(), run: async (text) => `${text}!` }),
    ).delay({ id: 'n' });
    await untilWaiting(tasks, 'n');
    await approved.send('n', { by: 'ann', ok: true });
    expect(await run.get(soon)).toBe('decided by ann!');
  });

  test('encrypted payloads reach the wait', async () => {
    const { encryption } = await import('@umbel/core');
    const app = engine.app({
      codecs: [encryption({ keys: { one: Buffer.alloc(32, 1) }, current: 'one' } as never)],
    });
    const approved = app.signal({ name: 'expense.approved', payload: Decision });
    await app.worker().start();
    const flow = waitFor(approved, {
      key: { text: 'o' },
      timeout: 30,
      onTimeout: { by: 'nobody', ok: false },
    });
    expect(await (await flow.delay()).get(soon)).toEqual({ by: 'nobody', ok: false });
    const run = await waitFor(approved, { key: { text: 'p' }, timeout: '7d' }).delay();
    await untilWaiting({ app } as never, 'p');
    await approved.send('p', { by: 'ann', ok: true });
    expect(await run.get(soon)).toEqual({ by: 'ann', ok: true });
  });

  test('waits are listed with their run, times and JSON Schema, page by page', async () => {
    const tasks = await start(engine);
    const { app, approved } = tasks;
    const other = app.signal({ name: 'other' });
    const wait = waitFor(approved, { key: 'id', timeout: '7d' });
    const flow = map(
      wait,
      ['q1', 'q2', 'q3'].map((id) => ({ id })),
    ).tag('expenses');
    const run = await flow.delay();
    const never = await waitFor(other, { timeout: 'never' }).delay();
    await expect.poll(async () => (await app.signals.waiting()).items.length).toBe(4);
    const first = await app.signals.waiting({ name: 'expense.approved', limit: 2 });
    expect(first.items).toHaveLength(2);
    const second = await app.signals.waiting({ name: 'expense.approved', limit: 2, cursor: first.cursor });
    expect(second.cursor).toBeUndefined();
    const all = [...first.items, ...second.items];
    expect(all.map(({ key }) => key).sort()).toEqual(['q1', 'q2', 'q3']);
    const [one] = all;
    expect(one).toMatchObject({ name: 'expense.approved', runId: run.id, tags: ['expenses'] });
    expect(one?.schema).toMatchObject({ type: 'object', required: ['by', 'ok'] });
    const waitedMs = (one?.until?.getTime() ?? 0) - (one?.since.getTime() ?? 0);
    expect(waitedMs).toBe(7 * 86_400_000);
    const [open] = (await app.signals.waiting({ name: 'other' })).items;
    expect(open).toMatchObject({ key: never.id, runId: never.id });
    expect(open?.until).toBeUndefined();
    expect((await app.signals.waiting({ tag: 'expenses' })).items).toHaveLength(3);
    expect((await app.signals.waiting({ tag: 'none' })).items).toEqual([]);
  });

  test('a repair starts the job of an accepted signal whose sender died', async () => {
    const tasks = await start(engine);
    const { app, approved, draft, book } = tasks;
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book);
    const run = await flow.delay({ id: 'r' });
    await untilWaiting(tasks, 'r');
    const queue = engine.bareQueue('umbel');
    // A sender that dies after its signal was accepted: the command that starts the job is never sent.
    const prototype = Object.getPrototypeOf(queue.getBackend()) as { promote(id: string): Promise<void> };
    const spy = vi.spyOn(prototype, 'promote').mockResolvedValue();
    try {
      expect(await approved.send('r', { by: 'ann', ok: true })).toBe('accepted');
      expect(spy).toHaveBeenCalledTimes(1);
    } finally {
      spy.mockRestore();
    }
    expect(await app.repair()).toMatchObject({ started: 1 });
    expect(await run.get(soon)).toEqual({ by: 'ann', ok: true });
    const again = await flow.delay({ id: 's' });
    await untilWaiting(tasks, 's');
    const second = vi.spyOn(prototype, 'promote').mockResolvedValue();
    try {
      await approved.send('s', { by: 'ann', ok: true });
    } finally {
      second.mockRestore();
    }
    expect(await approved.send('s', { by: 'ann', ok: true })).toBe('duplicate');
    expect(await again.get(soon)).toEqual({ by: 'ann', ok: true });
  });

  test('events say when a workflow waits, and when its signal came', async () => {
    const tasks = await start(engine);
    const { app, approved, draft, book } = tasks;
    const events: AppEvent[] = [];
    const ending = new AbortController();
    const reading = (async () => {
      for await (const event of app.events({
        from: 'start',
        types: ['waiting', 'signalled'],
        signal: ending.signal,
      }))
        events.push(event);
    })();
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book);
    const run = await flow.delay({ id: 'v' });
    await untilWaiting(tasks, 'v');
    await approved.send('v', { by: 'ann', ok: true });
    await run.get(soon);
    const late = waitFor(approved, { key: { text: 'w' }, timeout: 20, onTimeout: null });
    await (await late.delay()).get(soon);
    const own = () => events.filter((event) => 'key' in event && ['v', 'w'].includes(event.key));
    await expect.poll(() => own().length).toBe(3);
    expect(own()).toMatchObject([
      { type: 'waiting', runId: run.id, signal: 'expense.approved', key: 'v', until: expect.any(Date) },
      { type: 'signalled', runId: run.id, signal: 'expense.approved', key: 'v' },
      { type: 'waiting', key: 'w' },
    ]);
    ending.abort();
    await reading;
  });

  test('a wait holds nothing and costs no command', async () => {
    const tasks = await start(engine);
    const { approved, app } = tasks;
    const keys = Array.from({ length: 50 }, (_, n) => `many-${n}`);
    const wait = waitFor(approved, { key: 'id', timeout: '7d' });
    const run = await map(
      wait,
      keys.map((id) => ({ id })),
    ).delay();
    await expect.poll(async () => (await app.signals.waiting({ limit: 100 })).items.length).toBe(50);
    const queue = engine.bareQueue('umbel');
    await expect.poll(() => queue.getJobCountByTypes('active', 'waiting')).toBe(0);
    const delayed = await queue.getJobs(['delayed']);
    expect(delayed).toHaveLength(50);
    const [job] = delayed;
    expect([job?.attemptsMade, job?.attemptsStarted]).toEqual([0, 1]);
    for (const key of keys) await approved.send(key, { by: 'ann', ok: true });
    expect(await run.get(soon)).toHaveLength(50);
  });
});
