import { EventEmitter, once } from 'node:events';
import { type AsyncResult, IdempotencyConflictError, InvalidOptionError, ValidationError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

const values = <Out>(results: readonly AsyncResult<Out>[]): Promise<Out[]> =>
  Promise.all(results.map((result) => result.get(soon)));

onEveryEngine('a call with an idempotency key', (engine) => {
  function shop() {
    const app = engine.app();
    const runs: number[] = [];
    const pay = app.task({
      name: 'pay',
      input: z.object({ amount: z.number(), to: z.string() }),
      run: async ({ amount }, { idempotencyKey }) => {
        runs.push(amount);
        return idempotencyKey;
      },
    });
    return { app, pay, runs };
  }

  test('is the same job when it is sent again with the same input, and runs once', async () => {
    const { app, pay, runs } = shop();
    const first = await pay.applyAsync({ amount: 5, to: 'Ada' }, { idempotencyKey: 'order 1' });
    const again = await pay.applyAsync({ to: 'Ada', amount: 5 }, { idempotencyKey: 'order 1' });
    expect(again.id).toBe(first.id);
    await app.worker().start();
    expect(await again.get(soon)).toBe('order 1');
    const late = await pay.applyAsync({ amount: 5, to: 'Ada' }, { idempotencyKey: 'order 1' });
    expect(await late.get(soon)).toBe('order 1');
    expect(runs).toEqual([5]);
  });

  test('is refused when it is sent again with another input', async () => {
    const { pay } = shop();
    const first = await pay.applyAsync({ amount: 5, to: 'Ada' }, { idempotencyKey: 'order 1' });
    const again = pay.applyAsync({ amount: 6, to: 'Ada' }, { idempotencyKey: 'order 1' });
    await expect(again).rejects.toThrow(IdempotencyConflictError);
    await expect(again).rejects.toMatchObject({ task: 'pay', idempotencyKey: 'order 1', jobId: first.id });
  });

  test('is one job when fifty come at once', async () => {
    const { app, pay, runs } = shop();
    const all = await Promise.all(
      Array.from({ length: 50 }, () => pay.applyAsync({ amount: 1, to: 'B' }, { idempotencyKey: 'k' })),
    );
    await app.worker().start();
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    expect(await values(all)).toEqual(Array(50).fill('k'));
    expect(runs).toHaveLength(1);
  });

  test('is another job for another task', async () => {
    const { app, pay } = shop();
    const refund = app.task({ name: 'refund', input: z.object({}), run: async () => null });
    const one = await pay.applyAsync({ amount: 5, to: 'Ada' }, { idempotencyKey: 'order 1' });
    const other = await refund.applyAsync({}, { idempotencyKey: 'order 1' });
    expect(other.id).not.toBe(one.id);
  });
});

onEveryEngine('calls that are the same', (engine) => {
  function search(options: object) {
    const app = engine.app();
    const runs: string[] = [];
    const index = app.task({
      name: 'index',
      input: z.object({ page: z.string(), at: z.number() }),
      ...options,
      run: async ({ page, at }) => {
        runs.push(`${page}${at}`);
        return at;
      },
    });
    return { app, index, runs };
  }
  const byPage = ({ page }: { page: string }) => page;

  test('run once while the first waits, when the task is unique', async () => {
    const { app, index, runs } = search({ unique: { key: byPage } });
    const all = [
      await index.delay({ page: 'a', at: 1 }),
      await index.delay({ page: 'a', at: 2 }),
      await index.delay({ page: 'b', at: 3 }),
    ];
    expect(all[1]?.id).toBe(all[0]?.id);
    await app.worker().start();
    expect(await values(all)).toEqual([1, 1, 3]);
    expect(await values([await index.delay({ page: 'a', at: 4 })])).toEqual([4]);
    expect(runs.sort()).toEqual(['a1', 'a4', 'b3']);
  });

  test('are told by the whole input without a key, in whatever order its keys are', async () => {
    const { index } = search({ unique: true });
    const first = await index.delay({ page: 'a', at: 1 });
    expect((await index.delay({ at: 1, page: 'a' })).id).toBe(first.id);
    expect((await index.delay({ page: 'a', at: 2 })).id).not.toBe(first.id);
  });

  test('run once in a time, when the task is throttled', async () => {
    const { app, index, runs } = search({ throttle: { for: '1h', key: byPage } });
    await app.worker().start();
    expect(await values([await index.delay({ page: 'a', at: 1 })])).toEqual([1]);
    expect(await values([await index.delay({ page: 'a', at: 2 })])).toEqual([1]);
    expect(runs).toEqual(['a1']);
  });

  test('run once they have ceased, the last of them, when the task is debounced', async () => {
    const { app, index, runs } = search({ debounce: { for: 300, key: byPage } });
    await app.worker().start();
    await index.delay({ page: 'a', at: 1 });
    await index.delay({ page: 'a', at: 2 });
    const last = await index.delay({ page: 'a', at: 3 });
    expect(await last.get(soon)).toBe(3);
    expect(runs).toEqual(['a3']);
  });

  test('run after the longest wait, when they do not cease', async () => {
    const { app, index, runs } = search({ debounce: { for: 300, maxWait: 600, key: byPage } });
    await app.worker().start();
    let last = await index.delay({ page: 'a', at: 0 });
    for (let at = 1; runs.length === 0; at += 1) last = await index.delay({ page: 'a', at });
    // What was sent since then waits anew, and is not lost.
    const after = await index.delay({ page: 'a', at: -1 });
    expect(await after.get(soon)).toBe(-1);
    expect(runs.at(-1)).toBe('a-1');
    expect(['completed', 'unknown']).toContain(await last.state());
  });

  test('run at once, when the longest wait is over before another comes', async () => {
    const { app, index, runs } = search({ debounce: { for: '1h', maxWait: '1h', key: byPage } });
    await index.delay({ page: 'a', at: 1 });
    const [job] = await engine.bareQueue('default').getDelayed();
    if (job === undefined) throw new Error('no call waits');
    // As if it had waited for two hours.
    await job.updateData({ ...job.data, debouncedSince: job.data.debouncedSince - 7_200_000 });
    const last = await index.delay({ page: 'a', at: 2 });
    await app.worker().start();
    expect(await last.get(soon)).toBe(2);
    expect(runs).toEqual(['a2']);
  });

  test('are added once the first has started, when they are unique until then', async () => {
    const app = engine.app();
    const signals = new EventEmitter();
    const started = once(signals, 'started');
    const released = once(signals, 'release');
    const runs: number[] = [];
    const index = app.task({
      name: 'index',
      input: z.object({ page: z.string(), at: z.number() }),
      unique: { until: 'started', key: byPage },
      run: async ({ at }) => {
        runs.push(at);
        signals.emit('started');
        await released;
        return at;
      },
    });
    const first = await index.delay({ page: 'a', at: 1 });
    expect((await index.delay({ page: 'a', at: 2 })).id).toBe(first.id);
    await app.worker({ concurrency: 1 }).start();
    await started;
    const next = await index.delay({ page: 'a', at: 3 });
    expect(next.id).not.toBe(first.id);
    expect((await index.delay({ page: 'a', at: 4 })).id).toBe(next.id);
    signals.emit('release');
    expect(await values([first, next])).toEqual([1, 3]);
    expect(runs).toEqual([1, 3]);
  });

  test('are told among many at once', async () => {
    const { app, index, runs } = search({ unique: { key: byPage } });
    const first = await index.delay({ page: 'a', at: 1 });
    const [again, other] = await index.sendMany([
      { page: 'a', at: 2 },
      { page: 'b', at: 3 },
    ]);
    expect(again?.id).toBe(first.id);
    await app.worker().start();
    expect(await other?.get(soon)).toBe(3);
    expect(await again?.get(soon)).toBe(1);
    expect(runs.sort()).toEqual(['a1', 'b3']);
  });

  test('are not taken for one that was revoked', async () => {
    const { app, index } = search({ unique: { key: byPage } });
    const first = await index.delay({ page: 'a', at: 1 });
    await first.revoke();
    const second = await index.delay({ page: 'a', at: 2 });
    expect(second.id).not.toBe(first.id);
    await app.worker().start();
    expect(await second.get(soon)).toBe(2);
  });

  test('cannot be told in two ways, or start by two', async () => {
    const { index } = search({ debounce: { for: '1s' } });
    const input = { page: 'a', at: 1 };
    await expect(index.applyAsync(input, { idempotencyKey: 'k' })).rejects.toThrow(
      'Expected `idempotencyKey`',
    );
    await expect(index.applyAsync(input, { countdown: '1h' })).rejects.toThrow('Expected `countdown`');
  });

  test('do not lose the last one, when the one that it should replace has left its delay', async () => {
    const { app, index, runs } = search({ debounce: { for: 200, key: byPage } });
    const first = await index.delay({ page: 'a', at: 1 });
    await (await engine.bareQueue('default').getJob(first.id))?.promote();
    const last = await index.delay({ page: 'a', at: 2 });
    expect(last.id).not.toBe(first.id);
    await app.worker().start();
    expect(await values([first, last])).toEqual([1, 2]);
    expect(runs).toEqual(['a1', 'a2']);
    const many = index.sendMany([{ page: 'a', at: 3 }], { countdown: '1h' });
    await expect(many).rejects.toThrow('Expected `countdown`');
  });

  test('can be told by the call itself', async () => {
    const { index } = search({});
    const first = await index.applyAsync({ page: 'a', at: 1 }, { unique: { key: 'home' } });
    const second = await index.applyAsync({ page: 'b', at: 2 }, { unique: { key: 'home' } });
    expect(second.id).toBe(first.id);
    const third = index.applyAsync({ page: 'a', at: 1 }, { unique: true, throttle: { for: '1s' } });
    await expect(third).rejects.toThrow(InvalidOptionError);
  });
});

onEveryEngine('many calls', (engine) => {
  test('are sent at once, and their handles come in order', async () => {
    const app = engine.app();
    const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
    const results = await double.sendMany(
      Array.from({ length: 1200 }, (_, n) => n),
      { headers: { tenant: 'acme' }, priority: 3 },
    );
    expect(results).toHaveLength(1200);
    expect((await results[7]?.info())?.headers).toEqual({ tenant: 'acme' });
    expect((await app.queue('default').counts()).waiting).toBe(1200);
    await app.worker({ concurrency: 100 }).start();
    expect(await values(results)).toEqual(Array.from({ length: 1200 }, (_, n) => n * 2));
  });

  test('run in the order in which they were sent, over several round trips', async () => {
    const app = engine.app();
    const ran: number[] = [];
    const note = app.task({ name: 'note', input: z.number(), run: async (n) => void ran.push(n) });
    const inputs = Array.from({ length: 1600 }, (_, n) => n);
    const results = await note.sendMany(inputs);
    await app.worker({ concurrency: 1 }).start();
    await Promise.all(results.map((result) => result.get(soon)));
    expect(ran).toEqual(inputs);
  });

  test('are not sent at all if one does not fit, which is named', async () => {
    const app = engine.app();
    const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
    const sending = double.sendMany([1, 2, 'three' as unknown as number]);
    await expect(sending).rejects.toThrow(ValidationError);
    await expect(sending).rejects.toMatchObject({ issues: [{ path: 'inputs[2]' }] });
    expect((await app.queue('default').counts()).waiting).toBe(0);
    expect(await double.sendMany([])).toEqual([]);
  });
});

onEveryEngine('a call by name', (engine) => {
  test('reaches a task that the sender does not know, with the options of its worker', async () => {
    const worker = engine.app();
    const attempts: number[] = [];
    worker.task({
      name: 'far',
      input: z.object({ n: z.number() }),
      retry: { attempts: 3, delay: 1 },
      run: async ({ n }, { attempt }) => {
        attempts.push(attempt);
        if (attempt < 3) throw new Error('not yet');
        return n + 1;
      },
    });
    await worker.worker().start();
    const sender = engine.sameApp();
    expect(await (await sender.send('far', { n: 1 })).get(soon)).toBe(2);
    expect(attempts).toEqual([1, 2, 3]);
    const wrong = await sender.send('far', { n: 'one' });
    await expect(wrong.get(soon)).rejects.toMatchObject({ cause: { name: 'ValidationError', task: 'far' } });
  });

  test('of a task that no worker knows fails clearly', async () => {
    const app = engine.app();
    app.task({ name: 'near', run: async () => null });
    await app.worker().start();
    const result = await app.send('nowhere', { n: 1 });
    await expect(result.get(soon)).rejects.toThrow(
      'Task "nowhere" has no handler in this worker (known: "near")',
    );
  });
});

onEveryEngine('callbacks', (engine) => {
  function mail() {
    const app = engine.app();
    const told: unknown[] = [];
    const tell = app.task({
      name: 'tell',
      input: z.object({ who: z.string(), n: z.number() }),
      run: async (input) => {
        told.push(input);
      },
    });
    const alarm = app.task({
      name: 'alarm',
      input: z.object({
        task: z.string(),
        jobId: z.string(),
        attempts: z.number(),
        error: z.object({ message: z.string() }),
      }),
      run: async (failure) => {
        told.push(failure);
      },
    });
    const count = app.task({
      name: 'count',
      input: z.number(),
      retry: { attempts: 2, delay: 1 },
      run: async (n) => {
        if (n < 0) throw new Error('below zero');
        return { n };
      },
    });
    return { app, told, tell, alarm, count };
  }

  test('are sent once, after success, with the result over their bound keys', async () => {
    const { app, told, tell, alarm, count } = mail();
    await app.worker().start();
    const result = await count.applyAsync(3, {
      link: [tell.s({ who: 'Ada' }), tell.s({ who: 'Bob' })],
      linkError: alarm,
    });
    expect(await result.get(soon)).toEqual({ n: 3 });
    await vi.waitFor(() => expect(told).toHaveLength(2));
    expect(told).toEqual(
      expect.arrayContaining([
        { who: 'Ada', n: 3 },
        { who: 'Bob', n: 3 },
      ]),
    );
  });

  test('are sent once, after the last attempt, with what failed', async () => {
    const { app, told, tell, alarm, count } = mail();
    await app.worker().start();
    const result = await count.applyAsync(-1, { link: tell.s({ who: 'Ada' }), linkError: alarm });
    await expect(result.get(soon)).rejects.toThrow('below zero');
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(told).toEqual([
      { task: 'count', jobId: result.id, attempts: 2, error: { message: 'below zero' } },
    ]);
  });

  test('leave the call what it is: with its own key, root and no run, and it can be replayed', async () => {
    const { app, tell } = mail();
    let fails = true;
    const facts = app.task({
      name: 'facts',
      run: async (_, { id, rootId, runId, idempotencyKey }) => {
        if (fails) throw new Error('not yet');
        return { n: 1, who: 'x', isRoot: rootId === id, runId: runId ?? null, idempotencyKey };
      },
    });
    await app.worker().start();
    const call = await facts.applyAsync(undefined, { link: tell, idempotencyKey: 'mine' });
    await expect(call.get(soon)).rejects.toThrow('not yet');
    expect(await call.info()).not.toHaveProperty('runId');
    fails = false;
    await app.deadLetters.replay(call.id);
    expect(await call.get(soon)).toMatchObject({ isRoot: true, runId: null, idempotencyKey: 'mine' });
  });

  test('have the headers of the call they follow, but for their own', async () => {
    const { app, count } = mail();
    const seen: unknown[] = [];
    const note = app.task({
      name: 'note',
      input: z.unknown(),
      run: async (_, { headers }) => {
        seen.push(headers);
      },
    });
    await app.worker().start();
    const headers = { trace: 't', tenant: 'acme' };
    await count.applyAsync(1, { headers, link: note.set({ headers: { tenant: 'own' } }) });
    await count.applyAsync(-1, { headers, linkError: note });
    await vi.waitFor(() => expect(seen).toHaveLength(2));
    expect(seen).toEqual(expect.arrayContaining([{ trace: 't', tenant: 'own' }, headers]));
  });

  test('that fail, or cannot be sent, do not change the result', async () => {
    const errors: string[] = [];
    const app = engine.app({ logger: { info() {}, warn() {}, error: (message) => errors.push(message) } });
    const merge = app.task({ name: 'merge', input: z.object({ a: z.number() }), run: async () => null });
    const one = app.task({ name: 'one', run: async () => 1 });
    await app.worker().start();
    const link = merge.s({ a: 1 }) as never; // does not compile: a number has no keys to merge with
    expect(await (await one.applyAsync(undefined, { link })).get(soon)).toBe(1);
    await vi.waitFor(() => expect(errors.join()).toContain('a callback of job'));
  });

  test('are refused unless they are signatures, and for calls that may be another’s', async () => {
    const { count, tell } = mail();
    await expect(count.applyAsync(1, { link: (() => 1) as never })).rejects.toThrow('Expected `link` to be');
    const ignored = count.applyAsync(1, { link: tell.s({ who: 'A' }), ignoreResult: true });
    await expect(ignored).rejects.toThrow('Expected `ignoreResult` to be absent');
    const both = count.applyAsync(1, { link: tell.s({ who: 'A' }), unique: true });
    await expect(both).rejects.toThrow('Expected `link` to be absent');
  });
});

onEveryEngine('a sending', (engine) => {
  test('hands on who sent it, a name for people and its headers', async () => {
    const app = engine.app();
    const leaf = app.task({
      name: 'leaf',
      run: async (_, { parentId, rootId, headers }) => ({ parentId: parentId ?? null, rootId, headers }),
    });
    const middle = app.task({
      name: 'middle',
      run: async (_, ctx) => (await leaf.applyAsync(undefined, { parent: ctx, headers: ctx.headers })).id,
    });
    const top = app.task({
      name: 'top',
      run: async (_, ctx) => (await middle.applyAsync(undefined, { parent: ctx, headers: ctx.headers })).id,
    });
    await app.worker().start();
    const first = await top.applyAsync(undefined, { displayName: 'The top of it', headers: { trace: 't1' } });
    const second = app.result(middle, await first.get(soon));
    const third = app.result(leaf, await second.get(soon));
    expect(await third.get(soon)).toEqual({
      parentId: second.id,
      rootId: first.id,
      headers: { trace: 't1' },
    });
    expect(await third.info()).toMatchObject({ parentId: second.id, rootId: first.id, displayName: 'leaf' });
    expect(await first.info()).toMatchObject({ displayName: 'The top of it', task: 'top' });
  });

  test('can leave the result out', async () => {
    const app = engine.app();
    const big = app.task({ name: 'big', run: async () => 'x'.repeat(1000) });
    await app.worker().start();
    const result = await big.applyAsync(undefined, { ignoreResult: true });
    expect(await result.get(soon)).toBeNull();
    expect(await engine.bareQueue('default').getJob(result.id)).toMatchObject({ returnvalue: null });
  });
});
