/** The options of a workflow on whatever is added to it, however that comes about. */
import { chain, chunks, fallback, group, map, match, starmap, when } from '@umbel/canvas';
import type { App, AsyncResult, SendOptions } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { soon } from '../support/running.js';

const HOUR_MS = 3_600_000;

/** What a workflow is sent with; nothing else says any of it. */
const given = {
  queue: 'tenant-a',
  priority: 7,
  retry: { attempts: 4, backoff: 'fixed', delay: 7, jitter: false },
  timeout: '50s',
  expires: '1h',
  displayName: 'for tenant a',
  headers: { tenant: 'a' },
  tags: ['tenant-a'],
} satisfies SendOptions;

/** The same as a job holds it. */
interface Seen {
  readonly queue: string;
  readonly priority: unknown;
  readonly attempts: unknown;
  readonly backoff: unknown;
  readonly timeout: unknown;
  readonly expires: unknown;
  readonly displayName: unknown;
  readonly headers: unknown;
  readonly tags: unknown;
}

const expected = {
  queue: 'tenant-a',
  priority: 7,
  attempts: 4,
  backoff: { type: 'fixed', delay: 7, jitter: 0 },
  timeout: 50_000,
  displayName: 'for tenant a',
  headers: { tenant: 'a' },
  tags: ['tenant-a'],
};

async function seenOf(engine: Engine, queue: string, id: string): Promise<Seen | undefined> {
  const job = await engine.bareQueue(queue).getJob(id);
  if (job === undefined) return undefined;
  const { timeout, expires, label, headers, tags } = job.data;
  const { priority, attempts, backoff } = job.opts;
  return { queue, priority, attempts, backoff, timeout, expires, displayName: label, headers, tags };
}

/** Tasks of which `leaf` keeps where it ran, and others bring a `leaf` about. */
function tasksOf(app: App) {
  const ran: { id: string; queue: string }[] = [];
  const leaf = app.task({
    name: 'leaf',
    input: z.unknown(),
    run: async (_input, { id, queue }): Promise<number> => {
      ran.push({ id, queue });
      return 1;
    },
  });
  const first = app.task({
    name: 'first',
    input: z.unknown(),
    run: async () => ({ kind: 'a' as const, n: 1 }),
  });
  const list = app.task({ name: 'list', input: z.unknown(), run: async () => [1, 2] });
  const rows = app.task({
    name: 'rows',
    input: z.unknown(),
    run: async (): Promise<[number, number][]> => [[1, 2]],
  });
  const pair = app.task({
    name: 'pair',
    input: z.object({ x: z.number(), y: z.number() }),
    run: async (_input, ctx): Promise<number> => ctx.replace(leaf.si(1)),
  });
  const fails = app.task({
    name: 'fails',
    input: z.unknown(),
    run: async (_input, ctx): Promise<number> => ctx.reject('it is to fail'),
  });
  const swap = app.task({
    name: 'swap',
    input: z.unknown(),
    run: async (_input, ctx): Promise<number> => ctx.replace(leaf.si(1)),
  });
  const nest = app.task({
    name: 'nest',
    input: z.number(),
    run: async (n, ctx): Promise<number> =>
      n === 0 ? ctx.replace(chain(first, leaf.si(2))) : ctx.replace(chain(first, nest.si(n - 1))),
  });
  const grow = app.task({
    name: 'grow',
    input: z.unknown(),
    run: async (_input, ctx): Promise<number> => {
      await ctx.addToGroup(leaf.si(3));
      await ctx.addToGroup(chain(first, swap));
      return 0;
    },
  });
  return { ran, leaf, first, list, rows, pair, fails, swap, nest, grow };
}

type Tasks = ReturnType<typeof tasksOf>;
/** A composition or a call, as far as it is sent here. */
interface Sendable {
  applyAsync(input: undefined, options: SendOptions): Promise<AsyncResult<unknown>>;
}

async function* later<Item>(...items: Item[]): AsyncGenerator<Item> {
  yield* items;
}

/** How a `leaf` comes into a workflow, and how many of them then. */
const ways: readonly (readonly [name: string, leaves: number, make: (tasks: Tasks) => unknown])[] = [
  ['a declared step', 1, ({ first, leaf }) => chain(first, leaf)],
  ['a member at the start', 2, ({ leaf }) => group([leaf, leaf])],
  ['a member that is read lazily', 2, ({ leaf }) => group(later(leaf.si(1), leaf.si(2)))],
  ['a member after a step', 2, ({ first, leaf }) => chain(first, group([leaf, leaf]))],
  ['a map over inputs', 2, ({ leaf }) => map(leaf, [1, 2])],
  ['a map over a result', 2, ({ list, leaf }) => chain(list, map(leaf))],
  ['chunks of a result', 1, ({ list, leaf }) => chain(list, chunks(leaf, 5))],
  ['a starmap over a result', 1, ({ rows, pair }) => chain(rows, starmap(pair, ['x', 'y']))],
  ['the other step of a fallback', 1, ({ fails, leaf }) => fallback(fails, leaf)],
  ['a case of a match', 1, ({ first, leaf }) => chain(first, match('kind', { a: leaf }))],
  ['a branch of a when', 1, ({ first, leaf }) => chain(first, when({ n: 1 }, leaf, leaf))],
  ['ctx.replace of a single call', 1, ({ swap }) => swap],
  ['ctx.replace of a call with callbacks', 1, ({ swap }) => swap.link(swap.set({ queue: 'default' }))],
  ['ctx.replace of a step', 1, ({ first, swap }) => chain(first, swap)],
  ['ctx.replace of a chain of one', 1, ({ swap }) => chain(swap)],
  ['ctx.replace in ctx.replace', 1, ({ nest }) => chain(nest.si(3))],
  ['ctx.replace in ctx.replace of a single call', 1, ({ nest }) => nest.si(2)],
  ['ctx.replace of a member read lazily', 1, ({ swap }) => group(later(swap.si(1)))],
  ['ctx.replace of a member after a step', 2, ({ list, swap }) => chain(list, map(swap))],
  ['ctx.replace of the other step of a fallback', 1, ({ fails, swap }) => fallback(fails, swap)],
  ['ctx.replace of a case', 1, ({ first, swap }) => chain(first, match('kind', { a: swap }))],
  ['ctx.addToGroup', 2, ({ grow }) => group([grow])],
  ['ctx.addToGroup after a step', 2, ({ first, grow }) => chain(first, group([grow]))],
];

onEveryEngine('the options of a workflow', (engine) => {
  /** A worker that serves the tenant's queue and no other. */
  async function start() {
    const app = engine.app({ queues: ['default', 'tenant-a', 'own', 'inner'] });
    const tasks = tasksOf(app);
    await app.worker({ queues: ['tenant-a', 'own', 'inner'], concurrency: 10 }).start();
    return { app, ...tasks };
  }

  test.each(ways)('reach %s', async (_name, leaves, make) => {
    const tasks = await start();
    const composition = make(tasks) as Sendable; // whatever its types, it needs no input
    const sentAt = Date.now();
    const run = await composition.applyAsync(undefined, given);
    await run.get(soon);
    const isChunked = tasks.ran.length > leaves;
    expect(isChunked ? 1 : tasks.ran.length).toBe(leaves);
    const expiries = new Set<unknown>();
    for (const { id, queue } of tasks.ran) {
      const { expires, ...seen } = (await seenOf(engine, queue, id)) ?? { expires: undefined };
      expect(seen).toMatchObject(expected);
      expect(expires).toBeGreaterThanOrEqual(sentAt + HOUR_MS - 2000);
      expect(expires).toBeLessThanOrEqual(Date.now() + HOUR_MS);
      expiries.add(expires);
    }
    expect(expiries.size).toBe(1); // of the whole, and not of what is added
  });

  test('the deadline of the whole is that of what is added', async () => {
    const { app, leaf, ran } = await start();
    const expires = new Date(Date.now() + HOUR_MS);
    const slow = app.task({
      name: 'slow',
      input: z.unknown(),
      run: async (_input, ctx): Promise<number> => ctx.replace(chain(leaf.set({ countdown: 20 }), leaf)),
    });
    await (await chain(slow, slow).applyAsync(1, { queue: 'tenant-a', expires })).get(soon);
    expect(ran).toHaveLength(4);
    for (const { id } of ran)
      expect(await seenOf(engine, 'tenant-a', id)).toMatchObject({ expires: expires.getTime() });
    // What would start after it does not.
    const late = app.task({
      name: 'late',
      input: z.unknown(),
      run: async (_input, ctx): Promise<number> => ctx.replace(leaf.set({ countdown: 700 }), 1),
    });
    const run = await chain(late, late).applyAsync(1, { queue: 'tenant-a', expires: 600 });
    const outcome = await run.outcome(soon);
    expect(outcome.ok ? undefined : outcome.error.state).toBe('expired');
    expect(ran).toHaveLength(4);
  });

  test('a countdown is of the start of the whole only', async () => {
    const { nest, ran } = await start();
    await (await chain(nest.si(1)).applyAsync(undefined, { ...given, countdown: 30 })).get(soon);
    const [leaf] = ran;
    const job = await engine.bareQueue('tenant-a').getJob(leaf?.id ?? '');
    expect(job?.opts.delay).toBeUndefined();
  });

  test('what a handler sets on what it adds wins, and its task’s own options give way', async () => {
    const { app, ran, leaf } = await start();
    const routed = app.task({
      name: 'routed',
      queue: 'own',
      priority: 1,
      timeout: '1s',
      retry: { attempts: 9 },
      expires: '5m',
      input: z.unknown(),
      run: async (_input, { id, queue }): Promise<number> => ran.push({ id, queue }),
    });
    const own = { queue: 'own', priority: 3, timeout: '2s', retry: { attempts: 2 }, expires: '10m' } as const;
    const adds = app.task({
      name: 'adds',
      input: z.unknown(),
      run: async (_input, ctx): Promise<number> => {
        await ctx.addToGroup(routed.si(1).set({ ...own, headers: { tenant: 'own' }, tags: ['own'] }));
        await ctx.addToGroup(chain(routed.si(2), routed.si(3).set({ priority: 5 })).set(own));
        return ctx.replace(chain(leaf.si(1), routed.si(4)));
      },
    });
    const sentAt = Date.now();
    await (await group([adds]).applyAsync(undefined, given)).get(soon);
    const seen = new Map<string, Seen | undefined>();
    for (const { id, queue } of ran) seen.set(id, await seenOf(engine, queue, id));
    const jobs = [...seen.values()];
    expect(jobs).toHaveLength(5);
    const among = (part: Partial<Seen>) =>
      jobs.filter((job) => Object.entries(part).every(([key, value]) => job?.[key as keyof Seen] === value));
    for (const job of among({ queue: 'own' })) {
      expect(job).toMatchObject({ attempts: 2, timeout: 2000, displayName: 'for tenant a' });
      expect(job?.expires).toBeLessThan(sentAt + 660_000);
    }
    expect(among({ queue: 'own', priority: 3 })).toHaveLength(2);
    expect(among({ queue: 'own', priority: 5 })).toHaveLength(1);
    expect(jobs).toContainEqual(
      expect.objectContaining({ headers: { tenant: 'own' }, tags: ['tenant-a', 'own'] }),
    );
    // The sending wins over the definition of the task, as for declared steps.
    for (const job of among({ queue: 'tenant-a' })) expect(job).toMatchObject(expected);
    expect(among({ queue: 'tenant-a' })).toHaveLength(2);
  });

  test('those of a composition in it win over it; those of the call that adds are of that call alone', async () => {
    const { ran, swap, nest } = await start();
    const inner = chain(swap.set({ queue: 'own', timeout: '3s' }), nest.si(1)).set({
      queue: 'inner',
      priority: 2,
    });
    await (await group([inner]).applyAsync(undefined, given)).get(soon);
    expect(ran).toHaveLength(2);
    for (const { id, queue } of ran)
      expect(await seenOf(engine, queue, id)).toMatchObject({ ...expected, queue: 'inner', priority: 2 });
  });

  test('ignoreResult is of the whole: its parts are what it is made of', async () => {
    const { nest, grow, ran } = await start();
    for (const composition of [nest.si(2), chain(nest.si(2)), group([grow.si(1)])] as Sendable[]) {
      const run = await composition.applyAsync(undefined, { ...given, ignoreResult: true });
      expect(await run.get(soon)).toBeNull();
      expect(await run.state()).toBe('completed');
    }
    expect(ran).toHaveLength(4);
  });

  test('callbacks have the headers and the tags of what they follow, and what those add has no more', async () => {
    const { app, first, fails, leaf, swap } = await start();
    const flow = chain(first, swap).link(leaf).finally(chain(leaf, leaf)).linkError(leaf);
    const run = await flow.applyAsync(undefined, { ...given, link: swap.set({ queue: 'own' }) });
    await run.get(soon);
    const failed = await fails.linkError(leaf).applyAsync(undefined, given);
    await failed.outcome(soon);
    const [root = ''] = failed.id.split('.');
    const plain = {
      queue: 'default',
      priority: undefined,
      attempts: 0, // BullMQ’s default
      timeout: undefined,
      expires: undefined,
      displayName: undefined,
      headers: { tenant: 'a' },
      tags: ['tenant-a'],
    };
    for (const id of [
      `${run.id}-success-0`,
      `${run.id}-always-0.0-0`,
      `${run.id}-always-0.0`,
      `${root}-failure-0`,
    ])
      await vi.waitFor(async () => expect(await seenOf(engine, 'default', id)).toMatchObject(plain), 5000);
    await vi.waitFor(
      async () => expect(await seenOf(engine, 'default', `${run.id}-success-1.~`)).toMatchObject(plain),
      5000,
    );
    await app.close();
  });

  test('routes see the headers that the whole was sent with', async () => {
    const app = engine.app({
      queues: ['default', 'tenant-a'],
      routes: ({ headers }) => (headers.tenant === 'a' ? 'tenant-a' : undefined),
    });
    const { ran, first, nest, grow, leaf } = tasksOf(app);
    await app.worker({ queues: ['tenant-a'] }).start();
    const headers = { tenant: 'a' };
    for (const composition of [
      chain(first.si(0), leaf),
      chain(nest.si(1)),
      nest.si(1),
      group([grow.si(1)]),
    ] as Sendable[])
      await (await composition.applyAsync(undefined, { headers })).get(soon);
    expect(ran.map(({ queue }) => queue)).toEqual(Array.from(ran, () => 'tenant-a'));
    expect(ran).toHaveLength(5);
  });

  test('they cost a job a few bytes, and no more for long headers', async () => {
    const { leaf, ran } = await start();
    const headers = { note: 'x'.repeat(5000) };
    await (await group([leaf.si(1), leaf.si(2)]).applyAsync(undefined, { ...given, headers })).get(soon);
    const job = await engine.bareQueue('tenant-a').getJob(ran[0]?.id ?? '');
    expect(JSON.stringify(job?.data).length - JSON.stringify(job?.data.headers).length).toBeLessThan(400);
  });
});
