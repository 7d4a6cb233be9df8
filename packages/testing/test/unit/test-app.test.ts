import { setTimeout as sleep } from 'node:timers/promises';
import { chain, chord, group, map } from '@umbel/canvas';
import {
  type App,
  type AsyncResult,
  createApp,
  TaskFailedError,
  TimeoutError,
  ValidationError,
} from '@umbel/core';
import { LeakError, NothingLeftError, sequence, type TestApp, testApp } from '@umbel/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { cpuMs } from '../../../../test/support/cpu-time.js';
import { NextTick } from '../../src/memory/events.js';
import { watchResources } from '../support/resources.js';

function shop() {
  // A store that cannot be reached: what reaches it fails.
  const app = createApp({ name: 'shop', connection: 'redis://127.0.0.1:1' });
  const charge = app.task({
    name: 'charge',
    input: z.object({ amount: z.number() }),
    output: z.object({ receipt: z.string() }),
    retry: { attempts: 4, delay: '1h', jitter: false },
    run: async ({ amount }) => ({ receipt: `paid ${amount}` }),
  });
  const mail = app.task({
    name: 'mail',
    queue: 'mails',
    input: z.object({ to: z.string(), receipt: z.string() }),
    run: async ({ to, receipt }) => `${to}: ${receipt}`,
  });
  const remind = app.task({
    name: 'remind',
    input: z.object({ to: z.string() }),
    run: async ({ to }, ctx) => {
      await ctx.sleep('2d');
      return `${to} at ${new Date(ctx.now()).toISOString()}`;
    },
  });
  const sum = app.task({
    name: 'sum',
    input: z.array(z.number()),
    run: async (ns) => ns.reduce((a, b) => a + b, 0),
  });
  const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
  return { app, charge, mail, remind, sum, double };
}

describe('an app under test', () => {
  let t: TestApp;
  let app: App;
  let tasks: ReturnType<typeof shop>;

  beforeEach(async () => {
    tasks = shop();
    app = tasks.app;
    t = await testApp(app);
  });

  afterEach(() => t.close());

  test('runs calls and compositions without its store', async () => {
    const { charge, mail, double, sum } = tasks;
    expect(await t.run(charge, { amount: 3 })).toEqual({ receipt: 'paid 3' });
    expect(await t.run(chain(charge, mail.s({ to: 'a@b.c' })), { amount: 5 })).toBe('a@b.c: paid 5');
    expect(await t.run(chain(double, group([double, double]), sum), 1)).toBe(8);
    expect(await t.run(chord([double.si(1), double.si(2)], sum))).toBe(6);
  });

  test('takes the calls that the code under test makes', async () => {
    const { charge } = tasks;
    const handleRequest = async () => (await charge.delay({ amount: 1 })).id;
    const id = await handleRequest();
    expect(t.enqueued).toMatchObject([{ task: 'charge', input: { amount: 1 }, id, queue: 'default' }]);
  });

  test('runs nothing before something is awaited', async () => {
    const { double } = tasks;
    const result = await t.start(double, 4);
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    expect(await result.state()).toBe('waiting');
    expect(t.attempts).toEqual([]);
    expect(await result.get()).toBe(8);
  });

  test('lets retries and their waits pass at once', async () => {
    const { charge } = tasks;
    t.fake(charge, sequence(new Error('down'), new Error('down'), { receipt: 'r' }));
    expect(await t.run(charge, { amount: 1 })).toEqual({ receipt: 'r' });
    expect(t.now).toEqual(new Date('2030-01-01T03:00:00Z')); // 1 h, then 2 h
    expect(t.attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  });

  test('resolves an eta next month at once, in order', async () => {
    const { double } = tasks;
    const late = await double.applyAsync(1, { eta: new Date('2030-02-01T00:00:00Z') });
    const soon = await double.applyAsync(2, { countdown: '1h' });
    expect(await late.state()).toBe('delayed');
    expect(await late.get()).toBe(2);
    expect(await soon.get()).toBe(4);
    expect(t.attempts.map(({ input, at }) => [input, new Date(at).toISOString()])).toEqual([
      [2, '2030-01-01T01:00:00.000Z'],
      [1, '2030-02-01T00:00:00.000Z'],
    ]);
  });

  test('starts a composition at its eta', async () => {
    const { double } = tasks;
    const result = await chain(double, double).applyAsync(1, { eta: new Date('2030-03-01T00:00:00Z') });
    expect(await result.get()).toBe(4);
    expect(t.now).toEqual(new Date('2030-03-01T00:00:00Z'));
  });

  test('goes on to the next attempt when a step is skipped', async () => {
    const { double, sum } = tasks;
    t.fake(double, new Error('no'));
    await t.start(chain(double, double), 1);
    await t.start(sum, [1]);
    const seen: unknown[] = [];
    for (let next = await t.next(); next !== undefined; next = await t.next()) seen.push(next.task);
    expect(seen).toEqual(['double', 'sum']);
  });

  test('advances by as much as it is told', async () => {
    const { double } = tasks;
    await double.applyAsync(1, { countdown: '1h' });
    await double.applyAsync(2, { countdown: '3h' });
    await t.advance('2h');
    expect(t.now).toEqual(new Date('2030-01-01T02:00:00Z'));
    expect(t.attempts.map(({ input }) => input)).toEqual([1]);
    await t.runUntilIdle();
    expect(t.now).toEqual(new Date('2030-01-01T03:00:00Z'));
    expect(t.attempts.map(({ input }) => input)).toEqual([1, 2]);
  });

  test('lets time pass for handlers that sleep', async () => {
    const { remind } = tasks;
    expect(await t.run(remind, { to: 'ada' })).toBe('ada at 2030-01-03T00:00:00.000Z');
  });

  test('does not let time pass while a handler does real work', async () => {
    const { double } = tasks;
    t.fake(double, async (n) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return n;
    });
    const result = await t.start(double, 1);
    await expect(result.get({ timeout: '50s' })).resolves.toBe(1);
    expect(t.now).toEqual(new Date('2030-01-01T00:00:00Z'));
  });

  test('ends a wait by its timeout in virtual time', async () => {
    const { double } = tasks;
    const result = await double.applyAsync(1, { countdown: '2h' });
    await expect(result.get({ timeout: '1h' })).rejects.toThrow(TimeoutError);
    expect(t.now).toEqual(new Date('2030-01-01T01:00:00Z'));
  });

  test('goes step by step', async () => {
    const { double, sum } = tasks;
    const result = await t.start(chain(double, group([double, double]), sum), 1);
    expect(await t.next()).toMatchObject({ task: 'double', input: 1, outcome: { ok: true, value: 2 } });
    expect(await result.state()).toBe('waiting-children');
    expect(await t.next()).toMatchObject({ task: 'double', input: 2 });
    expect(await t.next()).toMatchObject({ task: 'double', input: 2 });
    expect(await t.next()).toMatchObject({ task: 'sum', input: [4, 4], outcome: { ok: true, value: 8 } });
    expect(await result.state()).toBe('completed');
    expect(await t.next()).toBeUndefined();
  });

  test('runs tasks that are called inside handlers, and waits for their results', async () => {
    const { app: own, double } = tasks;
    const outer = own.task({
      name: 'outer',
      input: z.number(),
      run: async (n): Promise<number> => {
        const inner = await double.applyAsync(n, { countdown: '1d' });
        return (await inner.get({ allowInTask: true })) + 1;
      },
    });
    expect(await t.run(outer, 5)).toBe(11);
    expect(t.now).toEqual(new Date('2030-01-02T00:00:00Z'));
  });

  test('fails as the real engine does', async () => {
    const { charge, mail } = tasks;
    t.fake(charge, new RangeError('too much'));
    const error = await t
      .run(chain(charge, mail.s({ to: 'a' })), { amount: 9 })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TaskFailedError);
    expect(error).toMatchObject({ task: 'charge', cause: { name: 'RangeError', message: 'too much' } });
    expect(t.failed).toMatchObject([{ task: 'charge', attempt: 4 }]);
    await expect(t.run(charge, { amount: 'x' as unknown as number })).rejects.toThrow(ValidationError);
  });

  test('validates what a fake gives, and takes it through JSON', async () => {
    const { charge, double } = tasks;
    t.fake(charge, () => ({ receipt: 5 as unknown as string }));
    await expect(t.run(charge, { amount: 1 })).rejects.toThrow('result.receipt');
    t.fake(double, () => Number.NaN);
    await expect(t.run(double, 1)).rejects.toThrow('JSON cannot carry NaN');
  });

  test('restores a handler, and knows what its fake was called with', async () => {
    const { double } = tasks;
    const fake = t.fake(double, 7);
    expect(await t.run(double, 1)).toBe(7);
    fake.restore();
    expect(await t.run(double, 2)).toBe(4);
    expect(fake.calls).toEqual([1]);
  });

  test('gives a fake what the handler would receive, decoded, and encodes what it gives', async () => {
    const date = z.codec(z.iso.datetime(), z.date(), {
      decode: (text) => new Date(text),
      encode: (at) => at.toISOString(),
    });
    const remind = app.task({
      name: 'remindAt',
      input: z.object({ at: date, times: z.number().default(1) }),
      run: async ({ at, times }) => at.getTime() + times,
    });
    const fake = t.fake(remind, ({ at, times }) => at.getUTCDate() + times);
    expect(await t.run(remind, { at: '2030-05-17T00:00:00Z' })).toBe(18);
    expect(fake.calls).toEqual([{ at: new Date('2030-05-17T00:00:00Z'), times: 1 }]);
  });

  test('fakes all tasks but some', async () => {
    const { double, sum, charge } = tasks;
    t.fakeAll((_input, task) => (task === 'sum' ? 42 : { receipt: task }), { except: [double] });
    expect(await t.run(double, 2)).toBe(4);
    expect(await t.run(sum, [1])).toBe(42);
    expect(await t.run(charge, { amount: 1 })).toEqual({ receipt: 'charge' });
  });

  test('fakes a contract that has no handler here', async () => {
    const contract = app.defineTask({ name: 'elsewhere', input: z.number(), output: z.string() });
    t.fake(contract, (n) => `faked ${n}`);
    expect(await t.run(contract, 3)).toBe('faked 3');
  });

  test('follows a run as its members end, in virtual time', async () => {
    const app = createApp({ name: 'follow' });
    const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
    const t = await testApp(app);
    const members: unknown[] = [];
    const run = await t.start(group([double.si(1).set({ countdown: '2h' }), double.si(2)]));
    for await (const member of run) members.push(member);
    expect(members).toEqual([
      { index: 1, ok: true, value: 4 },
      { index: 0, ok: true, value: 2 },
    ]);
    const tasks: unknown[] = [];
    const chained = await t.start(chain(double, double), 1);
    for await (const { value } of chained.collect() as AsyncIterable<{ value?: unknown }>) tasks.push(value);
    expect(tasks).toEqual([2, 4]);
    const counts: unknown[] = [];
    const counted = await t.start(group([double.si(1), double.si(2).set({ countdown: '1d' })]));
    for await (const { done } of counted.progress() as AsyncIterable<{ done: number }>) counts.push(done);
    expect(counts.at(-1)).toBe(2);
    expect((await counted.graph()).nodes).toHaveLength(2);
    await t.close();
  });

  test('tells what a handler has put in its place, and what was skipped', async () => {
    const app = createApp({ name: 'dynamic' });
    const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
    const fork = app.task({
      name: 'fork',
      input: z.number(),
      run: async (n, ctx): Promise<number[]> => ctx.replace(map(double, [n, n + 1])),
    });
    const enough = app.task({
      name: 'enough',
      input: z.unknown(),
      run: async (_, ctx) => ctx.stop('enough'),
    });
    const t = await testApp(app);
    expect(await t.run(chain(double, fork, enough, double as never), 1)).toBe('enough');
    expect(
      t
        .timeline()
        .split('\n')
        .map((line) => line.slice(11)),
    ).toEqual([
      'double → 2',
      'fork → replaced',
      'double → 4',
      'double → 6',
      'fork → [4,6]',
      'enough → "enough"',
    ]);
    await t.close();
  });

  test('performs one handler without a queue', async () => {
    const { charge, remind } = tasks;
    expect(await t.perform(charge, { amount: 2 })).toEqual({ receipt: 'paid 2' });
    expect(await t.perform(remind, { to: 'bob' })).toContain('bob at 2030-01-03');
    const who = app.task({
      name: 'who',
      run: async (_input, { headers, attempt }) => [headers.tenant ?? '', attempt],
    });
    expect(await t.perform(who, undefined, { headers: { tenant: 'acme' }, attempt: 3 })).toEqual(['acme', 3]);
    await expect(t.perform(charge, { amount: '2' as unknown as number })).rejects.toThrow(ValidationError);
    expect(t.enqueued).toEqual([]);
  });

  test('ends attempts by their time limits, and jobs by their expiry, in virtual time', async () => {
    const app = createApp({ name: 'limits' });
    const slow = app.task({
      name: 'slow',
      timeout: '30s',
      retry: { attempts: 2, delay: '1m' },
      run: async (_, ctx) => {
        await ctx.sleep('1h');
      },
    });
    const t = await testApp(app);
    await expect(t.run(slow)).rejects.toThrow('did not end within its timeout of 30000 ms (attempt 2)');
    expect(t.now).toEqual(new Date('2030-01-01T00:02:00Z')); // 30 s, a minute, 30 s
    await expect(t.perform(slow)).rejects.toThrow('did not end within its timeout of 30000 ms (attempt 1)');
    const stale = await slow.applyAsync(undefined, { countdown: '2h', expires: '1h' });
    await expect(stale.get()).rejects.toMatchObject({ state: 'expired' });
  });

  test('draws a timeline that is the same in every run', async () => {
    const { charge, mail } = tasks;
    t.fake(charge, sequence(new Error('down'), { receipt: 'r1' }));
    await t.run(chain(charge, mail.s({ to: 'a@b.c' })), { amount: 1 });
    expect(t.timeline()).toBe(
      [
        '+0ms       charge ✗ Error: down',
        '+1h        charge (attempt 2) → {"receipt":"r1"}',
        '+1h        mail → "a@b.c: r1"',
      ].join('\n'),
    );
  });

  test('finds what bears a tag with a few commands, however long results are kept', async () => {
    const { double } = tasks;
    const handle = await t.start(double.s().tag('order'), 1);
    const commands = vi.spyOn(NextTick.prototype, 'next'); // each command waits for a turn
    const found: string[] = [];
    for await (const { id } of app.find({ tag: 'order' })) found.push(id);
    expect(found).toEqual([handle.id]);
    expect(commands.mock.calls.length).toBeGreaterThan(0);
    expect(commands.mock.calls.length).toBeLessThan(20);
    commands.mockRestore();
  });

  test('tells when nothing is left that could bring a result', async () => {
    let own: AsyncResult<string> | undefined;
    const knot = app.task({
      name: 'knot',
      run: async (): Promise<string> => (own === undefined ? 'untied' : own.get({ allowInTask: true })),
    });
    own = await t.start(knot);
    const error = await own.get().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NothingLeftError);
    expect(String(error)).toContain(`there is no result of ${own.id}. Sent but never run: knot.`);
  });

  test('fails a task that has no handler anywhere', async () => {
    const contract = app.defineTask({ name: 'nowhere', input: z.number(), output: z.number() });
    await expect(t.run(contract, 1)).rejects.toThrow('Task "nowhere" has no handler in this worker');
  });

  test('runs a thousand steps with hours between them in a moment', async () => {
    const { double, sum } = tasks;
    const members = Array.from({ length: 1000 }, (_, n) => double.si(n).set({ countdown: `${n % 24}h` }));
    const startedAt = cpuMs();
    expect(await t.run(chord(members, sum))).toBe(999_000);
    expect(t.now).toEqual(new Date('2030-01-01T23:00:00Z'));
    expect(cpuMs() - startedAt).toBeLessThan(5000);
  });
});

describe('with virtual timers', () => {
  test('Date and timers follow the engine’s time inside handlers, and only there', async () => {
    const { app } = shop();
    const seen: string[] = [];
    const clock = app.task({
      name: 'clock',
      run: async () => {
        const note = () => seen.push(new Date().toISOString());
        note();
        await new Promise((resolve) => setTimeout(resolve, 3_600_000));
        note();
        await sleep(60_000);
        note();
        await new Promise<void>((resolve) => {
          let ticks = 0;
          const interval = setInterval(() => {
            ticks += 1;
            if (ticks < 3) return;
            clearInterval(interval);
            resolve();
          }, 1000);
        });
        return [Date.now(), new Date(0).getTime(), Date.UTC(1970, 0, 2), new Date() instanceof Date];
      },
    });
    const before = { Date: globalThis.Date, setTimeout: globalThis.setTimeout };
    const t = await testApp(app, { virtualTimers: true });
    expect(globalThis.setTimeout).not.toBe(before.setTimeout);
    const outside = Date.now();
    const [now, ...rest] = await t.run(clock);
    expect(seen).toEqual([
      '2030-01-01T00:00:00.000Z',
      '2030-01-01T01:00:00.000Z',
      '2030-01-01T01:01:00.000Z',
    ]);
    expect(now).toBe(Date.UTC(2030, 0, 1, 1, 1, 3));
    expect(rest).toEqual([0, 86_400_000, true]);
    expect(Math.abs(Date.now() - outside)).toBeLessThan(60_000);
    await t.close();
    expect(globalThis.setTimeout).toBe(before.setTimeout);
    expect(globalThis.Date).toBe(before.Date);
  });

  test('a queue that a handler is the first to use keeps no time moving', async () => {
    const { app, mail } = shop();
    const outer = app.task({
      name: 'outer',
      run: async () => {
        await mail.delay({ to: 'a', receipt: 'r' });
      },
    });
    const t = await testApp(app, { virtualTimers: true });
    await t.run(outer);
    await t.runUntilIdle();
    expect(t.now).toEqual(new Date('2030-01-01T00:00:00Z'));
    await t.close();
  });

  test('a timer that is cleared does not hold up time, nor does it run', async () => {
    const { app } = shop();
    const race = app.task({
      name: 'race',
      run: async () => {
        const timer = setTimeout(() => {
          throw new Error('it was cleared');
        }, 500);
        clearTimeout(timer);
        return Promise.race([sleep(1000).then(() => 'slow'), sleep(10).then(() => 'fast')]);
      },
    });
    const t = await testApp(app, { virtualTimers: true });
    expect(await t.run(race)).toBe('fast');
    await t.runUntilIdle();
    await t.close();
  });
});

describe('several apps under test', () => {
  test('do not see each other', async () => {
    const { app, double } = shop();
    await Promise.all(
      [1, 2, 3].map(async (n) => {
        const t = await testApp(app, { now: new Date(n * 86_400_000) });
        t.fake(double, n);
        await double.applyAsync(5, { countdown: `${n}h` });
        expect(await t.run(double, 0)).toBe(n);
        await t.runUntilIdle();
        expect(t.enqueued).toHaveLength(2);
        expect(t.now.getTime()).toBe(n * 86_400_000 + n * 3_600_000);
        await t.close();
      }),
    );
  });

  test('keep the process alive only while something is waited for, and leave nothing behind', async () => {
    const { app, double } = shop();
    const resources = watchResources();
    const t = await testApp(app);
    let end: (n: number) => void = () => {};
    const ended = new Promise<number>((resolve) => {
      end = resolve;
    });
    t.fake(double, () => ended);
    const result = t.run(double, 1);
    // A handler that is waited for keeps the process alive; an app that nobody waits for does not.
    while ((await resources.open()) === 0);
    end(2);
    expect(await result).toBe(2);
    expect(await resources.open()).toBe(0);
    await t.close();
    expect(await resources.open()).toBe(0);
    resources.stop();
  });

  test('fail a test that leaves a handler running, and name it', async () => {
    const { app, double } = shop();
    const t = await testApp(app);
    t.fake(double, () => new Promise<number>(() => {}));
    const waiting = t.run(double, 1).catch(() => undefined);
    while (t.attempts.length === 0) await new Promise(setImmediate);
    await expect(t.close()).rejects.toThrow(LeakError);
    void waiting;
  });
});
