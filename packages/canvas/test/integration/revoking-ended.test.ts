/** Revoking what a run has left behind when it ended, and giving up members that are not needed any more. */
import { once, setMaxListeners } from 'node:events';
import { chain, group, map } from '@umbel/canvas';
import { type App, type AsyncResult, createApp } from '@umbel/core';
import type { BackendFactory, IQueueBackend } from 'bullmq';
import { afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, memory, onEveryEngine } from '../../../../test/engines.js';
import type { AnySignature } from '../support/places.js';

const soon = { timeout: '50s' } as const;
const within = { timeout: 45_000 };

/** Lets all go that a test has left: a worker that closes waits for it. */
const leftovers: (() => void)[] = [];
const letAllGo = () => {
  for (const letGo of leftovers.splice(0)) letGo();
};

/** Tasks that wait until they are let go or aborted, and what became of each. */
function tasksOf(app: App) {
  const started: string[] = [];
  const aborted: string[] = [];
  let letGo = () => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  leftovers.push(() => letGo());
  const input = z.unknown();
  const bad = app.task({ name: 'bad', input, run: () => Promise.reject(new Error('no')) });
  const quick = app.task({
    name: 'quick',
    input,
    run: async (_, { id }) => {
      started.push(id);
      return 1;
    },
  });
  const hold = app.task({
    name: 'hold',
    input,
    queue: 'slow',
    run: async (_, { id, signal }) => {
      started.push(id);
      await new Promise<void>((resolve) => {
        setMaxListeners(0, signal);
        signal.addEventListener('abort', () => {
          aborted.push(id);
          resolve();
        });
        void gone.then(resolve);
      });
      return 2;
    },
  });
  app.task({ name: 'other', queue: 'deciding', run: async () => 1 }); // so that the queue is known
  const becomes = app.task({
    name: 'becomes',
    input,
    run: async (_, ctx) => ctx.replace(chain(hold.si(1), quick)),
  });
  return { bad, quick, hold, becomes, started, aborted, letGo };
}

async function setUp(engine: Engine, concurrency = 1) {
  const app = engine.app();
  const tools = tasksOf(app);
  const at = (run: { id: string }, path: string) => app.result(`${run.id}.${path}`);
  const start = () => app.worker({ queues: { default: 10, slow: concurrency } }).start();
  const state = (run: { id: string }, path: string, expected: string) =>
    vi.waitFor(async () => expect([path, await at(run, path).state()]).toEqual([path, expected]), within);
  return { app, ...tools, at, start, state };
}

/** What ends with the members `0.1` running and the others waiting. */
const endings = {
  'a group that failed': ({ bad, hold }: ReturnType<typeof tasksOf>) => ({
    of: group([bad, hold, hold, chain(hold, hold)]),
    ends: 'failed',
  }),
  'a group.any that has one': ({ quick, hold }: ReturnType<typeof tasksOf>) => ({
    of: group.any([quick, hold, hold, chain(hold, hold)]),
    ends: 'completed',
  }),
  'a group.atLeast that has enough': ({ quick, hold }: ReturnType<typeof tasksOf>) => ({
    of: group.atLeast(1, [quick, hold, hold, chain(hold, hold)]),
    ends: 'completed',
  }),
  'a group.any after a step': ({ quick, hold }: ReturnType<typeof tasksOf>) => ({
    of: chain(quick, group.any([quick, hold, hold, chain(hold, hold)])),
    ends: 'completed',
  }),
} as const;

const revocations: Record<string, (app: App, run: AsyncResult<unknown>) => Promise<unknown>> = {
  'by its handle': (app, run) => app.result(run.id).revoke({ terminate: true }),
  'by its tag': (app) => app.control.revokeByTag('costly', { terminate: true }),
  'by its id': (app, run) => app.control.terminate(run.id),
};
const answers: Record<string, unknown> = { 'by its handle': true, 'by its tag': 4, 'by its id': 1 };
const nothing: Record<string, unknown> = { 'by its handle': false, 'by its tag': 0, 'by its id': 0 };

onEveryEngine('a run that has ended', (engine) => {
  afterEach(letAllGo);
  for (const [what, make] of Object.entries(endings)) {
    test.each(Object.keys(revocations))(`as ${what} is revoked %s as far as it goes on`, async (how) => {
      const tools = await setUp(engine);
      const { app, start, state, started, aborted } = tools;
      const { of, ends } = make(tools);
      const run = await (of as AnySignature).applyAsync(1, { tags: ['costly'] });
      await start();
      const before = await run.outcome(soon);
      await vi.waitFor(
        async () => expect((await app.jobs.list({ queue: 'slow', state: 'active' })).items).toHaveLength(1),
        within,
      );
      const other = engine.sameApp();
      const revoke = revocations[how] as (app: App, run: AsyncResult<unknown>) => Promise<unknown>;
      expect(await revoke(other, run)).toBe(answers[how]);
      for (const path of ['0.1', '0.2', '0.3-0', '0.3']) await state(run, path, 'revoked');
      const running = started.filter((id) => id.startsWith(`${run.id}.0.`) && !id.endsWith('.0.0'));
      expect(running).toHaveLength(1);
      expect(aborted).toEqual(running);
      expect(await run.state()).toBe(ends);
      expect(await run.outcome(soon)).toEqual(before);
      expect(await revoke(other, run)).toBe(nothing[how]);
    });
  }

  test('lets what runs go on, unless it is to be terminated', async () => {
    const { bad, hold, start, state, aborted, letGo, started } = await setUp(engine);
    const run = await group([bad, hold, hold]).delay(1);
    await start();
    await run.outcome(soon);
    await vi.waitFor(() => expect(started).toHaveLength(1), within);
    expect(await run.revoke()).toBe(true);
    letGo();
    const [runs = ''] = started;
    const path = runs.slice(run.id.length + 1);
    await state(run, path, 'completed');
    await state(run, path === '0.1' ? '0.2' : '0.1', 'revoked');
    expect(aborted).toEqual([]);
    expect(started).toHaveLength(1);
    expect(await run.revoke()).toBe(false);
  });

  test('is revoked with what stands below parts of it that have ended', async () => {
    const { app, bad, quick, hold, becomes, start, state, started, at } = await setUp(engine);
    const many = Array.from({ length: 120 }, () => hold);
    const flow = group.settled([
      group([bad, hold]),
      chain(group.any([quick, hold]), quick),
      group([bad, group(many)]),
      group([bad, becomes]),
    ]);
    const run = await chain(flow, quick).delay(1);
    await start();
    expect(await run.get(soon)).toBe(1);
    await vi.waitFor(async () => expect(await at(run, '0-0.3.1').state()).toBe('waiting-children'), within);
    await vi.waitFor(
      () => expect(started.filter((id) => id.includes('.0-0.')).length).toBeGreaterThan(0),
      within,
    );
    expect(await app.control.revoke([run.id], { terminate: true })).toBe(1);
    const paths = ['0-0.0.1', '0-0.1-0.1', '0-0.2.1.0', '0-0.2.1.119', '0-0.3.1', '0-0.3.1~'];
    for (const path of paths) await state(run, path, 'revoked');
    await vi.waitFor(async () => {
      const left = await app.jobs.list({
        run: run.id,
        state: ['waiting', 'active', 'delayed', 'waiting-children'],
      });
      expect(left.items).toEqual([]);
    }, within);
    expect(await run.state()).toBe('completed');
    expect(await run.revoke()).toBe(false);
  });

  test('has its callbacks sent all the same', async () => {
    const { app, bad, hold, start, started } = await setUp(engine);
    const told: unknown[] = [];
    const tell = app.task({
      name: 'tell',
      queue: 'later',
      input: z.unknown(),
      run: async (what) => void told.push(what),
    });
    const run = await group([bad, hold, hold]).linkError(tell).finally(tell).delay(1);
    await start();
    await run.outcome(soon);
    await vi.waitFor(() => expect(started).toHaveLength(1), within);
    expect(await run.revoke({ terminate: true })).toBe(true);
    await app.worker({ queues: ['later'] }).start();
    await vi.waitFor(() => expect(told).toHaveLength(2), within);
  });

  test('by a tag of a part only has that part revoked', async () => {
    const { app, bad, hold, start, state, started, letGo, at } = await setUp(engine);
    const run = await group([bad, hold, hold.tag('part'), chain(hold, hold.tag('part'))]).delay(1);
    await start();
    await run.outcome(soon);
    await vi.waitFor(() => expect(started).toHaveLength(1), within);
    expect(await app.revoke({ tag: 'part', terminate: true })).toBe(2);
    letGo();
    for (const path of ['0.2', '0.3']) await state(run, path, 'revoked');
    for (const path of ['0.1', '0.3-0']) await state(run, path, 'completed');
    expect(await at(run, '0').state()).toBe('unknown');
    expect(await app.revoke({ tag: 'part' })).toBe(0);
  });

  test('gives each member one end only, however the moments fall together', async () => {
    const app = engine.app();
    let go = () => {};
    const going = new Promise<void>((resolve) => {
      go = resolve;
    });
    const ends = new Map<string, string[]>();
    const note = (id: string, end: string) => ends.set(id, [...(ends.get(id) ?? []), end]);
    const bad = app.task({ name: 'bad', input: z.unknown(), run: () => Promise.reject(new Error('no')) });
    const member = app.task({
      name: 'member',
      input: z.number(),
      run: async (n, { signal }) => {
        await going;
        if (n >= 90) await once(signal, 'abort'); // some are there to be revoked, on the slowest machine
        for (let turn = 0; turn < n % 7; turn += 1) await new Promise(setImmediate);
        return n;
      },
    });
    const last = app.task({ name: 'last', run: async () => 1 });
    const events = app.events();
    const reading = (async () => {
      for await (const event of events) {
        if (!('task' in event)) continue;
        if (event.task === 'last' && event.type === 'completed') return;
        if (event.task !== 'member') continue;
        if (['completed', 'failed', 'revoked', 'skipped'].includes(event.type)) note(event.id, event.type);
      }
    })();
    await app.worker({ concurrency: 20 }).start();
    const members = Array.from({ length: 99 }, (_, index) => member.si(index));
    const run = await group([bad, ...members]).delay(1);
    await run.outcome(soon);
    await vi.waitFor(
      async () => expect((await app.jobs.list({ run: run.id, state: 'active' })).items.length).toBe(20),
      within,
    );
    const revoking = run.revoke({ terminate: true });
    go();
    expect(await revoking).toBe(true);
    await vi.waitFor(() => expect(ends.size).toBe(99), within);
    await last.delay(); // after which nothing is told any more
    await reading;
    for (const [id, all] of ends) {
      expect(all).toHaveLength(1);
      expect(['completed', 'revoked']).toContain(all[0]);
      expect(await app.result(id).state()).toBe(all[0]);
    }
    expect([...ends.values()].filter(([end]) => end === 'revoked').length).toBeGreaterThan(0);
  });
});

onEveryEngine('cancelSiblings', (engine) => {
  afterEach(letAllGo);
  type Tools = Awaited<ReturnType<typeof running>>['tools'];
  const membersOf = ({ hold, becomes }: Omit<Tools, 'bad' | 'quick'>) =>
    [hold, chain(hold, hold), becomes, hold.set({ countdown: '1h' })] as const;
  const policies = {
    'a group that fails': (tools: Tools, cancelSiblings: true | 'running') =>
      group([tools.bad.set({ queue: 'deciding' }), ...membersOf(tools)], { cancelSiblings }),
    'a large group that fails': (tools: Tools, cancelSiblings: true | 'running') =>
      group(
        [
          tools.bad.set({ queue: 'deciding' }),
          ...membersOf(tools),
          ...Array.from({ length: 150 }, () => tools.hold.set({ countdown: '1h' })),
        ],
        { cancelSiblings },
      ),
    'group.any': (tools: Tools, cancelSiblings: true | 'running') =>
      group.any([tools.quick.set({ queue: 'deciding' }), ...membersOf(tools)], { cancelSiblings }),
    'group.atLeast': (tools: Tools, cancelSiblings: true | 'running') =>
      group.atLeast(1, [tools.quick.set({ queue: 'deciding' }), ...membersOf(tools)], { cancelSiblings }),
  };

  /** A run of which three members run and the others wait, while the one that decides about it has not started. */
  async function running(
    make: (tools: Awaited<ReturnType<typeof setUp>>, how: true | 'running') => AnySignature,
    how: true | 'running',
  ) {
    const tools = await setUp(engine, 3);
    const { app, started, start, at } = tools;
    const run = await make(tools, how).delay(1);
    await start();
    await vi.waitFor(() => expect(started).toHaveLength(3), within);
    await vi.waitFor(async () => expect(await at(run, '0.3').state()).toBe('waiting-children'), within);
    const held = started.toSorted();
    await app.worker({ queues: ['deciding'] }).start();
    return { tools, run, held };
  }

  test.each(Object.entries(policies))('gives up members of %s that run, with running', async (_, make) => {
    const { tools, run, held } = await running(make, 'running');
    const { app, state, aborted, started } = tools;
    await run.outcome(soon);
    for (const path of ['0.1', '0.2-0', '0.2', '0.3', '0.4']) await state(run, path, 'skipped');
    await vi.waitFor(() => expect(aborted.toSorted()).toEqual(held), within);
    await vi.waitFor(async () => {
      const states = ['waiting', 'active', 'delayed', 'waiting-children'] as const;
      expect((await app.jobs.list({ run: run.id, state: states })).items).toEqual([]);
    }, within);
    expect(started.filter((id) => id !== `${run.id}.0.0`).toSorted()).toEqual(held);
  });

  test.each(Object.entries(policies))('true lets members of %s that run go on', async (_, make) => {
    const { tools, run } = await running(make, true);
    const { state, aborted, letGo } = tools;
    await run.outcome(soon);
    letGo();
    for (const path of ['0.1', '0.2-0']) await state(run, path, 'completed');
    for (const path of ['0.2', '0.4']) await state(run, path, 'skipped');
    expect(aborted).toEqual([]);
  });
});

/** An app in memory; `onTheWay` is called whenever jobs are about to be stored together. */
function intercepted(onTheWay: (entries: number) => Promise<void>) {
  const inner = memory();
  return createApp({
    name: 'intercepted',
    connection: (...args: Parameters<BackendFactory>): IQueueBackend => {
      const backend = inner(...args);
      const addFlow = backend.addFlow.bind(backend);
      backend.addFlow = async (entries) => {
        await onTheWay(entries.length);
        return addFlow(entries);
      };
      return backend;
    },
    logger: { info() {}, warn() {}, error() {} },
  });
}

test('a fan-out that still adds members to a run that has ended stops when that is revoked', async () => {
  let added = 0;
  let run: AsyncResult<unknown> | undefined;
  let isRevoked = false;
  const app = intercepted(async (entries) => {
    if (entries < 50) return;
    added += 1;
    if (added !== 2 || run === undefined) return;
    await run.outcome(soon);
    isRevoked = await run.revoke();
  });
  const ran: string[] = [];
  const bad = app.task({ name: 'bad', queue: 'bad', run: () => Promise.reject(new Error('no')) });
  const list = app.task({ name: 'list', run: async () => Array.from({ length: 1000 }, (_, n) => n) });
  const member = app.task({
    name: 'member',
    queue: 'later',
    input: z.number(),
    run: async (_, { id }) => void ran.push(id),
  });
  run = await group([bad, chain(list, map(member))]).delay();
  await app.worker({ queues: ['default', 'bad'] }).start();
  const fan = app.result(`${run.id}.0.1-fan`);
  await vi.waitFor(async () => expect(await fan.state()).toBe('revoked'), within);
  expect(isRevoked).toBe(true);
  expect(added).toBe(2);
  await app.worker({ queues: ['later'] }).start();
  await vi.waitFor(async () => {
    const { items } = await app.jobs.list({ task: 'member', limit: 1000 });
    expect(items).toHaveLength(100);
    expect(items.every(({ state }) => state === 'revoked')).toBe(true);
  }, within);
  expect(ran).toEqual([]);
  expect(await run.state()).toBe('failed');
  await app.close();
});

test("'running' reaches a fan-out that adds members of its group", async () => {
  let added = 0;
  let run: AsyncResult<unknown> | undefined;
  const app = intercepted(async (entries) => {
    if (entries < 50) return;
    added += 1;
    if (added !== 2 || run === undefined) return;
    await run.outcome(soon);
  });
  const ran: string[] = [];
  const bad = app.task({ name: 'bad', queue: 'bad', run: () => Promise.reject(new Error('no')) });
  const list = app.task({ name: 'list', run: async () => Array.from({ length: 1000 }, (_, n) => n) });
  const member = app.task({
    name: 'member',
    queue: 'later',
    input: z.number(),
    run: async (_, { id }) => void ran.push(id),
  });
  run = await group([bad, chain(list, map(member))], { cancelSiblings: 'running' }).delay();
  await app.worker({ queues: ['default', 'bad'] }).start();
  await vi.waitFor(async () => expect(await app.result(`${run.id}.0.1-fan`).state()).toBe('skipped'), within);
  expect(added).toBe(2);
  await app.worker({ queues: ['later'] }).start();
  await vi.waitFor(async () => {
    const { items } = await app.jobs.list({ task: 'member', limit: 1000 });
    expect(items.map(({ state }) => state)).toEqual(Array.from({ length: 100 }, () => 'skipped'));
  }, within);
  expect(ran).toEqual([]);
  await app.close();
});

onEveryEngine('a sender that still adds members', (engine) => {
  afterEach(letAllGo);
  test('to a run that has ended stops when that is revoked, and none of them runs', async () => {
    const { app, bad, hold, start, started } = await setUp(engine);
    const asker = engine.sameApp();
    let read = 0;
    async function* members() {
      for (; read < 3000; read += 1) {
        yield read === 0 ? bad : hold;
        if (read !== 400) continue;
        const [sent] = (await asker.runs.list()).items;
        const run = asker.result(sent?.id ?? '');
        await start();
        await run.outcome(soon);
        expect(await run.revoke({ terminate: true })).toBe(true);
      }
    }
    const run = await group(members()).delay(1);
    expect(read).toBeLessThan(1000);
    expect(await run.state()).toBe('failed');
    await vi.waitFor(async () => {
      const states = ['waiting', 'active', 'delayed', 'waiting-children'] as const;
      expect((await app.jobs.list({ task: 'hold', state: states })).items).toEqual([]);
    }, within);
    expect(started.length).toBeLessThanOrEqual(1);
    expect(await app.result(`${run.id}.0-feed`).state()).toBe('revoked');
  });
});
