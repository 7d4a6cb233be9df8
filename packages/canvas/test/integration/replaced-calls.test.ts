/** Calls that have put something in their place: what becomes of them when that is gone, and when they are run again. */

import { once } from 'node:events';
import { chain, group } from '@umbel/canvas';
import type { App, AsyncResult } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { detach } from '../../../core/src/store/revoke.js';
import { openStore } from '../../../core/test/support/open-store.js';
import { soon } from '../support/running.js';
import { toolbox } from '../support/toolbox.js';

onEveryEngine('a call that used ctx.replace', (engine: Engine) => {
  /** A task that puts a chain of two steps in its place, of which the second fails while it is broken. */
  async function start() {
    const app = engine.app();
    const tools = toolbox(app);
    const broken = { is: true };
    const ran: string[] = [];
    const fragile = app.task({
      name: 'fragile',
      input: z.number(),
      run: async (n) => {
        ran.push(`fragile ${n}`);
        if (broken.is) throw new Error('broken');
        return n;
      },
    });
    const fork = app.task({
      name: 'fork',
      input: z.number(),
      run: async (n, ctx): Promise<number> => {
        ran.push(`fork ${n}`);
        return ctx.replace(chain(tools.double.si(n), fragile));
      },
    });
    await app.worker({ repairInterval: false }).start();
    return { app, ...tools, broken, ran, fragile, fork };
  }

  test('is not replayed as it is: it is resumed, and goes on where it failed', async () => {
    const { app, fork, broken, ran, count } = await start();
    const call = await fork.delay(1);
    await expect(call.get(soon)).rejects.toThrow('broken');
    const resume = `app.result('${call.id}').resume()`;
    await expect(app.deadLetters.replay(call.id)).rejects.toThrow(resume);
    expect(await app.deadLetters.get(call.id)).toMatchObject({
      canReplay: false,
      whyNot: expect.stringContaining(resume),
    });
    const { replayed, skipped } = await app.deadLetters.replayMany({ task: 'fork' });
    expect(replayed).toBe(0);
    expect(skipped).toMatchObject([{ id: call.id, reason: expect.stringContaining(resume) }]);
    broken.is = false;
    await call.resume();
    expect(await call.get(soon)).toBe(2);
    expect(ran).toEqual(['fork 1', 'fragile 2', 'fragile 2']);
    expect(count('double')).toBe(1);
  });

  test('is replayed with another input: its handler runs, and what stood in its place is gone', async () => {
    const { app, fork, broken, ran } = await start();
    const call = await fork.delay(1);
    await expect(call.get(soon)).rejects.toThrow('broken');
    const [old] = (await app.deadLetters.list({ task: 'fragile' })).map(({ id }) => id);
    broken.is = false;
    await app.deadLetters.replay(call.id, { input: 20 });
    expect(await call.get(soon)).toBe(40);
    expect(ran).toEqual(['fork 1', 'fragile 2', 'fork 20', 'fragile 40']);
    expect(await app.result(old ?? '').state()).toBe('unknown');
    const graph = await call.graph();
    expect(graph.nodes.map(({ state }) => state)).toEqual(graph.nodes.map(() => 'completed'));
  });

  test('is replayed again and again, and resumed in between', async () => {
    const { app, fork, broken, ran, count } = await start();
    const call = await fork.delay(1);
    await expect(call.get(soon)).rejects.toThrow('broken');
    for (const input of [2, 3]) {
      await app.deadLetters.replay(call.id, { input });
      await vi.waitFor(() => expect(ran.at(-1)).toBe(`fragile ${input * 2}`), soon5);
      await expect(call.get(soon)).rejects.toThrow('broken');
    }
    broken.is = false;
    await vi.waitFor(async () => expect(await call.state()).toBe('failed'), soon5);
    await call.resume();
    expect(await call.get(soon)).toBe(6);
    expect(ran.filter((name) => name.startsWith('fork'))).toEqual(['fork 1', 'fork 2', 'fork 3']);
    expect(count('double')).toBe(3);
  });

  test('is replayed while a part of what stood in its place still runs', async () => {
    const { app, hold, signals, fail, count } = await start();
    let held = 0;
    const many = app.task({
      name: 'many',
      input: z.number(),
      run: async (n, ctx): Promise<number[]> =>
        n === 1 ? ctx.replace(group([hold.si(1), fail.si(1)])) : ctx.replace(group([hold.si(5), hold.si(6)])),
    });
    signals.on('held', () => {
      held += 1;
    });
    const call = await many.delay(1);
    await expect(call.get(soon)).rejects.toThrow('it went wrong');
    await vi.waitFor(() => expect(held).toBe(1), soon5);
    await app.deadLetters.replay(call.id, { input: 2 });
    await vi.waitFor(() => expect(held).toBe(3), soon5);
    signals.emit('release');
    expect(await call.get(soon)).toEqual([5, 6]);
    expect(count('fail')).toBe(1);
  });

  test('with callbacks is replayed in its place', async () => {
    const { app, fork, broken, ran } = await start();
    const call = await fork.link(fork.si(100)).delay(1);
    await expect(call.get(soon)).rejects.toThrow('broken');
    await app.deadLetters.replay(call.id, { input: 20 });
    await vi.waitFor(() => expect(ran).toContain('fork 20'), soon5);
    broken.is = false;
    await vi.waitFor(async () => expect(['failed', 'completed']).toContain(await call.state()), soon5);
  });

  test('ends its chain from the second place as from the first', async () => {
    const { app, double } = await start();
    let isBroken = true;
    const stopping = app.task({
      name: 'stopping',
      input: z.number(),
      run: async (n, ctx): Promise<number> => {
        if (isBroken) throw new Error('not yet');
        return ctx.stop(n);
      },
    });
    const outer = app.task({
      name: 'outer',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(chain(stopping.si(n), double)),
    });
    const call = await outer.delay(1);
    await expect(call.get(soon)).rejects.toThrow('not yet');
    isBroken = false;
    await app.deadLetters.replay(call.id, { input: 7 });
    expect(await call.get(soon)).toBe(7);
  });

  /** Takes a job off what waits for it, which starts then: as a store that has lost a part of what it acknowledged. */
  async function unlink(app: App, parent: string, child: string): Promise<void> {
    const { factory, options } = engine.connection();
    const store = openStore(app.name, engine.name === 'redis' ? options : factory);
    await detach(store, { queue: 'default', id: parent }, { queue: 'default', id: child });
    await store.close();
  }

  const startsOf = async (id: string) => (await engine.bareQueue('default').getJob(id))?.attemptsStarted ?? 0;

  /** A call that waits for what is in its place, which the test takes off it. */
  async function unlinked(app: App, task: { delay(input: number): Promise<AsyncResult<number>> }) {
    const call = await task.delay(3);
    await vi.waitFor(async () => expect(await call.state()).toBe('waiting-children'), soon5);
    await unlink(app, call.id, `${call.id}.~`);
    return call;
  }

  test('goes on with what stands in its place if it was taken off it, and nothing spins', async () => {
    const { app, hold, signals, count } = await start();
    const swap = app.task({
      name: 'swap',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(hold, n),
    });
    const call = await unlinked(app, swap);
    await vi.waitFor(async () => expect(await startsOf(call.id)).toBe(2), soon5);
    await vi.waitFor(async () => expect(await call.state()).toBe('waiting-children'), soon5);
    await vi.waitFor(() => expect(count('hold')).toBe(1), soon5);
    signals.emit('release');
    expect(await call.get(soon)).toBe(3);
    expect(await startsOf(call.id)).toBe(3);
    expect(count('hold')).toBe(1);
  });

  test('fails with what stands in its place if that was taken off it, and fails then', async () => {
    const { app, signals } = await start();
    const slow = app.task({
      name: 'slow',
      input: z.number(),
      run: async (): Promise<number> => {
        await once(signals, 'release');
        throw new RangeError('too late');
      },
    });
    const swap = app.task({
      name: 'swap',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(slow, n),
    });
    const call = await unlinked(app, swap);
    await vi.waitFor(async () => expect(await startsOf(call.id)).toBe(2), soon5);
    await vi.waitFor(async () => expect(await call.state()).toBe('waiting-children'), soon5);
    await vi.waitFor(() => expect(signals.listenerCount('release')).toBe(1), soon5);
    signals.emit('release');
    await expect(call.get(soon)).rejects.toMatchObject({ task: 'slow', cause: { name: 'RangeError' } });
  });

  test('fails as lost if that is gone from the store, and is resumed by adding it again', async () => {
    const { app, double } = await start();
    const swap = app.task({
      name: 'swap',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(double.set({ countdown: 300 }), n),
    });
    const call = await swap.delay(3);
    await vi.waitFor(async () => expect(await call.state()).toBe('waiting-children'), soon5);
    await (await engine.bareQueue('default').getJob(`${call.id}.~`))?.remove();
    await expect(call.get(soon)).rejects.toMatchObject({ cause: { code: 'LOST_JOB' } });
    expect(await startsOf(call.id)).toBeLessThan(4);
    await call.resume();
    expect(await call.get(soon)).toBe(6);
  });
});

const soon5 = { timeout: 5000 };
