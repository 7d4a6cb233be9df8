import { randomBytes } from 'node:crypto';
import { chain, chunks, group, map } from '@umbel/canvas';
import { type App, encryption } from '@umbel/core';
import { coreOf } from '@umbel/core/internal';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '20s' } as const;

/** Tasks, of which `hold` keeps the input that its handler got and does not end until `letGo`. */
function tasksOf(app: App) {
  let letGo = () => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const got: unknown[] = [];
  const add = app.task({
    name: 'add',
    input: z.object({ a: z.number(), b: z.number() }),
    run: async ({ a, b }) => ({ sum: a + b }),
  });
  const fail = app.task({
    name: 'fail',
    run: async (): Promise<{ sum: number }> => {
      throw new RangeError('the first step is broken');
    },
  });
  const run = async (input: unknown, attempt: number) => {
    if (attempt === 1) throw new TypeError('not at first');
    got.push(input);
    await gone;
    return null;
  };
  const retried = { queue: 'slow', retry: { attempts: 3, delay: 1 } } as const;
  const hold = app.task({
    ...retried,
    name: 'hold',
    input: z.object({ from: z.object({ sum: z.number() }), bound: z.string() }),
    run: (input, { attempt }) => run(input, attempt),
  });
  const holdAll = app.task({
    ...retried,
    name: 'hold-all',
    input: z.array(z.unknown()),
    run: (input, { attempt }) => run(input, attempt),
  });
  const listOf = app.task({
    name: 'list',
    input: z.number(),
    run: async (n) => Array.from({ length: n }, (_, i) => i),
  });
  return { add, fail, hold, holdAll, list: listOf, got, letGo: () => letGo() };
}

/** What the handler got: a job is active a little before its handler is called. */
const first = (got: readonly unknown[]) =>
  vi.waitFor(() => {
    expect(got).toHaveLength(1);
    return got[0];
  });

/** The job of the one task `name` whose handler runs in its second attempt, once it does. */
async function running(app: App, name = 'hold'): Promise<string> {
  return vi.waitFor(
    async () => {
      const { items } = await app.jobs.list({ task: name, state: 'active' });
      const [job] = items;
      expect(job?.attempts).toBe(1);
      return job?.id ?? '';
    },
    { timeout: 20_000 },
  );
}

onEveryEngine('the input of a job', (engine) => {
  test('of a running step is what its handler got, with worker, attempt and earlier errors', async () => {
    const app = engine.app();
    const { add, hold, got, letGo } = tasksOf(app);
    await app.worker({ name: 'w1' }).start();
    const run = await chain(add.s({ a: 1, b: 2 }), hold.into('from', { bound: 'true' })).delay();
    const id = await running(app);
    const job = await app.jobs.get(id);
    expect(job).toMatchObject({
      input: { from: { sum: 3 }, bound: 'true' },
      state: 'active',
      attempt: 2,
      worker: 'w1',
      errors: [expect.stringContaining('not at first')],
    });
    expect(job?.input).toEqual(await first(got));
    expect(job).not.toHaveProperty('waitsFor');
    letGo();
    await run.get(soon);
    expect((await app.jobs.get(id))?.input).toEqual(await first(got));
  });

  test('of a step that waits is its bound part, with the jobs that it waits for', async () => {
    const app = engine.app();
    const { add, hold, letGo } = tasksOf(app);
    const sum = app.task({
      name: 'total',
      input: z.object({ all: z.unknown(), unit: z.string() }),
      run: async () => null,
    });
    await app.worker().start();
    const run = await chain(
      group([add.s({ a: 1, b: 2 }), hold.s({ from: { sum: 1 }, bound: 'b' })]),
      sum.into('all', { unit: 'kg' }),
    ).delay();
    const held = await running(app);
    const [waiting] = (await app.jobs.list({ task: 'total' })).items;
    const id = waiting?.id ?? '';
    await vi.waitFor(async () => expect((await app.jobs.get(id))?.waitsFor).toEqual([held]));
    expect(await app.jobs.get(id)).toMatchObject({ state: 'waiting-children', input: { unit: 'kg' } });
    letGo();
    await run.get(soon);
    const done = await app.jobs.get(id);
    expect(done?.input).toEqual({ all: [{ sum: 3 }, null], unit: 'kg' });
    expect(done).not.toHaveProperty('waitsFor');
  });

  test('of a step after a large group is every result', async () => {
    const app = engine.app();
    const { add, holdAll, got, letGo } = tasksOf(app);
    await app.worker({ concurrency: 50 }).start();
    const members = Array.from({ length: 130 }, (_, a) => ({ a, b: 0 }));
    const run = await chain(map(add, members), holdAll).delay();
    const { input } = (await app.jobs.get(await running(app, 'hold-all'))) ?? {};
    expect(input).toEqual(members.map(({ a }) => ({ sum: a })));
    expect(input).toEqual(await first(got));
    letGo();
    await run.get(soon);
  });

  test('of a step after a list that another one gave is every result', async () => {
    const app = engine.app();
    const { list, holdAll, got, letGo } = tasksOf(app);
    const twice = app.task({ name: 'twice', input: z.number(), run: async (n) => 2 * n });
    await app.worker({ concurrency: 50 }).start();
    const run = await chain(list, map(twice), holdAll).delay(120);
    const { input } = (await app.jobs.get(await running(app, 'hold-all'))) ?? {};
    expect(input).toEqual(Array.from({ length: 120 }, (_, i) => 2 * i));
    expect(input).toEqual(await first(got));
    letGo();
    await run.get(soon);
  });

  test('of chunks is a list of whole inputs', async () => {
    const app = engine.app();
    const { add } = tasksOf(app);
    const run = await chunks(add.s({ b: 5 }), [{ a: 1 }, { a: 2 }, { a: 3 }], 2).delay();
    const inputs = [];
    for await (const { id } of app.jobs.all({ task: 'add', run: run.id }))
      inputs.push((await app.jobs.get(id))?.input);
    expect(inputs).toEqual([
      [
        { a: 1, b: 5 },
        { a: 2, b: 5 },
      ],
      [{ a: 3, b: 5 }],
    ]);
  });

  test('of a step whose earlier step has failed is its bound part, with the reason', async () => {
    const app = engine.app();
    const { fail, hold } = tasksOf(app);
    await app.worker().start();
    const run = await chain(fail, hold.into('from', { bound: 'true' })).delay();
    expect((await run.outcome(soon)).ok).toBe(false);
    const [step] = (await app.jobs.list({ task: 'hold' })).items;
    expect(await app.jobs.get(step?.id ?? '')).toMatchObject({
      input: { bound: 'true' },
      inputProblem: expect.stringContaining('the first step is broken'),
    });
  });

  test('is opened by the codecs of the app, and left out by an app without them', async () => {
    const key = randomBytes(32);
    const app = engine.app({ codecs: [encryption({ keys: { k: key }, current: 'k' })] });
    const { add, hold, got, letGo } = tasksOf(app);
    await app.worker().start();
    const run = await chain(add.s({ a: 1, b: 2 }), hold.into('from', { bound: 's3cr3t' })).delay();
    const sent = await chunks(add.s({ b: 5 }), [{ a: 1 }], 2).applyAsync(undefined, { countdown: '1h' });
    const id = await running(app);
    expect((await app.jobs.get(id))?.input).toEqual(await first(got));
    const [chunk] = (await app.jobs.list({ task: 'add', run: sent.id })).items;
    expect((await app.jobs.get(chunk?.id ?? ''))?.input).toEqual([{ a: 1, b: 5 }]);
    const plain = await engine.sameApp({ codecs: [], queues: ['slow'] }).jobs.get(id);
    expect(plain?.input).toBeUndefined();
    expect(plain?.inputProblem).toMatch(/codec/);
    letGo();
    await run.get(soon);
  });

  test('of a dead letter that is a step is what its handler got', async () => {
    const app = engine.app();
    const { add } = tasksOf(app);
    const refuse = app.task({
      name: 'refuse',
      input: z.object({ sum: z.number(), unit: z.string() }),
      run: async () => {
        throw new Error('refused');
      },
    });
    await app.worker().start();
    const run = await chain(add.s({ a: 1, b: 2 }), refuse.s({ unit: 'kg' })).delay();
    expect((await run.outcome(soon)).ok).toBe(false);
    const [letter] = await app.deadLetters.list({ task: 'refuse' });
    expect((await app.deadLetters.get(letter?.id ?? '')).input).toEqual({ sum: 3, unit: 'kg' });
  });

  test('is masked by the sensitive keys of its task and its app', () => {
    const app = engine.app({ sensitive: ['token'] });
    app.task({ name: 'pay', sensitive: ['card'], input: z.unknown(), run: async () => null });
    const input = { card: '4111-1111', to: [{ token: 's3cr3t' }], note: 'by 4111-1111' };
    const core = coreOf(app);
    expect(core.mask('pay', input)).toEqual({ card: '***', to: [{ token: '***' }], note: 'by ***' });
    expect(core.mask('elsewhere', input)).toEqual({ ...input, to: [{ token: '***' }] });
    expect(input.card).toBe('4111-1111');
  });
});
