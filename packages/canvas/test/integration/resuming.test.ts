import { chain, chord, fallback, group, map } from '@umbel/canvas';
import type { App } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { toolbox } from '../support/toolbox.js';

const soon = { timeout: '50s' } as const;

/** A worker and a task that fails while it is broken. */
async function start(engine: Engine) {
  const app = engine.app();
  const tasks = toolbox(app);
  const broken = { is: true };
  const fragile = app.task({
    name: 'fragile',
    input: z.number(),
    run: async (n) => {
      ran.push(n);
      if (broken.is) throw new Error('broken');
      return n + 100;
    },
  });
  const ran: number[] = [];
  await app.worker().start();
  return { app, ...tasks, fragile, broken, ran };
}

onEveryEngine('resume', (engine) => {
  test('runs a failed step and those after it, and keeps what succeeded', async () => {
    const { double, fragile, broken, count } = await start(engine);
    const run = await chain(double, fragile, double, group([double, double])).delay(1);
    await expect(run.get(soon)).rejects.toThrow('broken');
    broken.is = false;
    expect(await run.resume()).toBeGreaterThan(2);
    expect(await run.get(soon)).toEqual([408, 408]);
    expect(count('double')).toBe(4);
    expect(await run.state()).toBe('completed');
  });

  test('runs the failed members of a group, of a chord and of a map', async () => {
    const { double, fragile, broken, sum, count, ran } = await start(engine);
    const run = await chord(
      [double.si(1), fragile.si(2), chain(double.si(1), fragile), double.si(4)],
      sum,
    ).delay();
    await expect(run.get(soon)).rejects.toThrow('broken');
    await vi.waitFor(() => expect(ran).toHaveLength(2));
    broken.is = false;
    await run.resume();
    expect(await run.get(soon)).toBe(2 + 102 + 102 + 8);
    expect(count('double')).toBe(3);
    broken.is = true;
    const mapped = await chain(map(double, [1, 2, 3]), map(fragile), sum).delay();
    await expect(mapped.get(soon)).rejects.toThrow('broken');
    await vi.waitFor(() => expect(ran).toHaveLength(7));
    broken.is = false;
    await mapped.resume();
    expect(await mapped.get(soon)).toBe(312);
  });

  test('goes on below joins with rules of their own, and fallbacks', async () => {
    const { fragile, broken, fail, ran } = await start(engine);
    const any = await group.any([fragile.si(1), fragile.si(2)]).delay();
    await expect(any.get(soon)).rejects.toThrow('broken');
    broken.is = false;
    await any.resume();
    expect([101, 102]).toContain(await any.get(soon));
    broken.is = true;
    ran.length = 0;
    const other = await fallback(fail, fragile.si(5)).delay(1);
    await expect(other.get(soon)).rejects.toThrow('broken');
    broken.is = false;
    await other.resume();
    expect(await other.get(soon)).toBe(105);
    expect(ran).toEqual([5, 5]);
  });

  test('goes on in what a step has put in its place', async () => {
    const { app, double, fragile, broken } = await start(engine);
    let forks = 0;
    const fork = app.task({
      name: 'fork',
      input: z.number(),
      run: async (n, ctx): Promise<number> => {
        forks += 1;
        return ctx.replace(chain(double.si(n), fragile));
      },
    });
    const run = await chain(fork, double).delay(1);
    await expect(run.get(soon)).rejects.toThrow('broken');
    broken.is = false;
    await run.resume();
    expect(await run.get(soon)).toBe(204);
    expect(forks).toBe(1);
  });

  test('takes a revocation back', async () => {
    const { double, hold, signals, count } = await start(engine);
    const run = await chain(hold, double, double).delay(1);
    await vi.waitFor(() => expect(count('hold')).toBe(1));
    await run.revoke();
    signals.emit('release');
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    await run.resume();
    expect(await run.get(soon)).toBe(4);
    expect(count('hold')).toBe(1);
  });

  test('takes an expiry back, also of what is not added yet', async () => {
    const { app, double, hold, signals, count } = await start(engine);
    const fork = app.task({
      name: 'fork',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(chain(double, double), n),
    });
    const flow = chain(hold, double, group([double, fork]), map(fallback(double, double.si(0))));
    const expires = new Date(Date.now() + 300);
    const run = await flow.applyAsync(1, { expires });
    await vi.waitFor(() => expect(count('hold')).toBe(1));
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(expires.getTime()), 5000);
    signals.emit('release');
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'expired' });
    await run.resume();
    expect(await run.get(soon)).toEqual([8, 16]);
  });

  test('may fail again, and be resumed again; nothing else can be', async () => {
    const { double, fragile, broken, app, note } = { note: undefined, ...(await start(engine)) };
    void note;
    const run = await chain(double, fragile).delay(1);
    await expect(run.get(soon)).rejects.toThrow('broken');
    await run.resume();
    await vi.waitFor(async () => expect(await run.state()).toBe('failed'));
    await expect(run.get(soon)).rejects.toThrow('broken');
    await expect(app.result(fragile, `${run.id}.0`).resume()).rejects.toThrow('is a step of run');
    broken.is = false;
    await run.resume();
    expect(await run.get(soon)).toBe(102);
    await expect(run.resume()).rejects.toThrow('only a failed, expired or revoked job can be resumed');
  });

  test('is what the dead letters of a run ask for: they hold the step that failed, and none that never ran', async () => {
    const { app, double, fragile } = await start(engine);
    const run = await chain(double, fragile, double).delay(1);
    await expect(run.get(soon)).rejects.toThrow('broken');
    const letters = await app.deadLetters.list();
    expect(letters.map(({ task }) => task)).toEqual(['fragile']);
    await expect(app.deadLetters.replay(letters[0]?.id ?? '')).rejects.toThrow(
      `app.result('${run.id}').resume()`,
    );
  });

  test('of a call with callbacks', async () => {
    const { double, fragile, broken, ran } = await start(engine);
    const call = await fragile.linkError(double.si(1)).link(fragile).delay(1);
    await expect(call.get(soon)).rejects.toThrow('broken');
    broken.is = false;
    await call.resume();
    expect(await call.get(soon)).toBe(101);
    await vi.waitFor(() => expect(ran).toEqual([1, 1, 101]));
  });
});

onEveryEngine('tags', (engine) => {
  test('reach every job of a composition, and find and revoke it', async () => {
    const { app, double, sum } = await start(engine);
    const seen: Record<string, readonly string[]> = {};
    const tell = app.task({
      name: 'tell',
      input: z.unknown(),
      run: async (value, ctx) => {
        seen[ctx.id.slice(-5)] = ctx.tags;
        return value;
      },
    });
    const flow = chain(tell.tag('inner'), group([tell, chord([tell], tell)]), map(tell))
      .link(tell)
      .tag('customer 7');
    const run = await flow.applyAsync(1, { tags: ['nightly'] });
    await run.get(soon);
    await vi.waitFor(() => expect(Object.keys(seen)).toHaveLength(7));
    for (const tags of Object.values(seen))
      expect(tags).toEqual(expect.arrayContaining(['customer 7', 'nightly']));
    expect(Object.values(seen).filter((tags) => tags.includes('inner'))).toHaveLength(1);
    const call = await double.tag('customer 7').applyAsync(1, { countdown: '1h' });
    const found = [];
    for await (const handle of app.find({ tag: 'customer 7' })) found.push(handle.id);
    expect(found.sort()).toEqual([run.id, `${run.id}-success-0`, call.id].sort());
    expect(await app.revoke({ tag: 'customer 7' })).toBe(1);
    await vi.waitFor(async () => expect(await call.state()).toBe('revoked'));
    await run.forget();
    const left = [];
    for await (const handle of app.find({ tag: 'customer 7' })) left.push(handle.id);
    expect(left.sort()).toEqual([`${run.id}-success-0`, call.id].sort());
    void sum;
  });

  test('find and revoke callbacks, and what a handler has put in its place', async () => {
    const { app, double } = await start(engine);
    const fork = app.task({
      name: 'fork',
      input: z.number(),
      run: async (n, ctx): Promise<number> => ctx.replace(double.set({ countdown: '1h' }).tag('inner'), n),
    });
    await (
      await double
        .link(double.set({ countdown: '1h' }).tag('later'))
        .tag('whole')
        .delay(1)
    ).get(soon);
    await vi.waitFor(async () => expect(await idsOf(app, 'later')).toHaveLength(1));
    const [callback = ''] = await idsOf(app, 'later');
    expect(await app.revoke({ tag: 'whole' })).toBe(1);
    await vi.waitFor(async () => expect(await app.result(callback).state()).toBe('revoked'));
    const run = await chain(fork, double).delay(1);
    await vi.waitFor(async () => expect(await idsOf(app, 'inner')).toEqual([run.id]));
    await vi.waitFor(async () => expect(await app.revoke({ tag: 'inner' })).toBe(1));
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
  });

  async function idsOf(app: App, tag: string): Promise<string[]> {
    const ids: string[] = [];
    for await (const { id } of app.find({ tag })) ids.push(id);
    return ids;
  }

  test('revoke the part that bears them, also what is not added yet', async () => {
    const { app, double, hold, signals, count, sum } = await start(engine);
    const run = await chain(hold, group.settled([double.tag('optional'), double]), sum.si([1])).delay(1);
    await vi.waitFor(() => expect(count('hold')).toBe(1));
    await app.revoke({ tag: 'optional' });
    signals.emit('release');
    expect(await run.get(soon)).toBe(1);
    expect(count('double')).toBe(1);
  });
});

onEveryEngine('get inside of a task', (engine) => {
  test('is refused with an explanation, unless it is allowed', async () => {
    const { app, double } = await start(engine);
    const outer = app.task({
      name: 'outer',
      input: z.number(),
      run: async (n) => {
        await Promise.resolve();
        const inner = await double.delay(n);
        const refused = await inner.get().catch((error: Error) => error.message);
        const alsoRefused = await inner.outcome().then(
          () => 'given',
          (error: Error) => error.message,
        );
        return { refused, alsoRefused, value: await inner.get({ allowInTask: true }) };
      },
    });
    const { refused, alsoRefused, value } = await (await outer.delay(2)).get(soon);
    expect(value).toBe(4);
    expect(refused).toContain('allowInTask');
    expect(alsoRefused).toContain('allowInTask');
  });
});
