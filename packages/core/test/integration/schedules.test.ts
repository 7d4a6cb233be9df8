import { chain, group } from '@umbel/canvas';
import { type App, encryption, ScheduleError, UnknownScheduleError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import type { Envelope } from '../../src/job/envelope.js';
import { scheduleId } from '../../src/store/schedules.js';

const soon = { timeout: '50s' } as const;
const soonMs = { timeout: 10_000, interval: 20 };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Long enough that no slot of it comes while a test runs; its slots are on the hour of 1970. */
const rarely = { every: '1000h' } as const;

/** The slots that a task was run for, in order. */
function ticking(app: App, name = 'tick') {
  const seen: string[] = [];
  const late: number[] = [];
  const tick = app.task({
    name,
    run: async (_, { headers }) => {
      const slot = headers['umbel-scheduled-at'] ?? 'none';
      seen.push(slot);
      late.push(Date.now() - Date.parse(slot));
      return seen.length;
    },
  });
  return { tick, seen, late };
}

/** Changes what is stored of a schedule, as if time had passed since, and lets it decide anew. */
async function plant(engine: Engine, name: string, change: (data: Envelope) => object): Promise<void> {
  const queue = engine.bareQueue('umbel');
  const job = await queue.getJob(scheduleId(name));
  if (job === undefined) throw new Error(`there is no schedule "${name}"`);
  await job.updateData(change(job.data));
  if (await job.isDelayed()) await job.promote();
}

const back =
  (since: number) =>
  ({ schedule, ...data }: Envelope) => ({ ...data, schedule: { ...schedule, since } });

onEveryEngine('a schedule', (engine) => {
  test('fires its slots, which it tells the handler, and lists what became of them', async () => {
    const app = engine.app();
    const { tick, seen, late } = ticking(app);
    const schedule = app.schedule('often', { every: '1s' }, tick);
    await app.worker().start();
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(1), soonMs);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0); // its job starts before the slot
    // A machine that stands still for a second misses slots, which are told of; and a slot can come at any time.
    const { runs, next, lateMs, ...info } = await vi.waitFor(async () => {
      const all = await schedule.info();
      const fired = all.runs.filter(({ outcome }) => outcome === 'fired');
      expect(fired.map(({ slot }) => slot.toISOString())).toEqual(seen.toReversed());
      expect(fired[1]?.state).toBe('completed');
      return all;
    }, soonMs);
    const slots = runs.toReversed().flatMap(({ slot, count = 1 }) => {
      return Array.from({ length: count }, (_, n) => slot.getTime() - (count - 1 - n) * 1000);
    });
    expect(slots).toEqual(slots.map((_, n) => Math.floor(Date.parse(seen[0] ?? '') / 1000 + n) * 1000));
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(info).toEqual({
      name: 'often',
      state: 'active',
      timing: { everyMs: 1000, tz: 'UTC' },
      catchUp: 'one',
      overlap: 'skip',
      target: 'tick',
      source: 'code',
      isDeclared: true,
      isDrifted: false,
      waiting: [],
    });
    const first = runs.findLast(({ outcome }) => outcome === 'fired');
    expect(await app.result(first?.id ?? '').get(soon)).toBe(1);
    expect(next).toHaveLength(5);
    expect((await schedule.next(2)).length).toBe(2);
  });

  test('is fired by workers that know nothing of it, a composition too', async () => {
    const app = engine.app();
    const define = (of: App) => ({
      double: of.task({ name: 'double', input: z.number(), run: async (n) => n * 2 }),
      sum: of.task({
        name: 'sum',
        input: z.array(z.number()),
        run: async (all) => all.reduce((a, b) => a + b),
      }),
    });
    const { double, sum } = define(app);
    const schedule = app.schedule(
      'sums',
      { every: '1s' },
      chain(group([double.si(1), double.si(2)]), sum, double),
    );
    expect(await app.schedules.sync()).toMatchObject({ added: ['sums'] });
    const other = engine.sameApp();
    define(other);
    await other.worker().start();
    const run = await vi.waitFor(
      async () => {
        const { runs } = await schedule.info();
        expect(runs[0]?.state).toBe('completed');
        return runs[0];
      },
      { timeout: 10_000 },
    );
    expect(await app.result(run?.id ?? '').get(soon)).toBe(12);
    expect(await other.schedules.list()).toMatchObject([
      { name: 'sums', target: 'workflow of double, sum', isDeclared: false },
    ]);
  });

  test('is sent by hand, also while it is paused', async () => {
    const app = engine.app();
    const { tick, seen } = ticking(app);
    const schedule = app.schedule('rare', rarely, tick);
    await app.worker().start();
    await schedule.pause();
    expect(await schedule.info()).toMatchObject({ state: 'paused', lateMs: 0 });
    const result = await schedule.runNow();
    expect(await result.get(soon)).toBe(1);
    expect(seen).toHaveLength(1);
    expect((await schedule.info()).runs).toMatchObject([
      { id: result.id, isManual: true, state: 'completed' },
    ]);
    await schedule.resume();
    expect(await schedule.info()).toMatchObject({ state: 'active' });
  });

  test('that is paused fires nothing, and does not catch up with it', async () => {
    const app = engine.app();
    const { tick, seen } = ticking(app);
    const other = ticking(app, 'other');
    const schedule = app.schedule('often', { every: '1s', overlap: 'allow', catchUp: 'all' }, tick);
    app.schedule('beside', { every: '1s', overlap: 'allow' }, other.tick);
    await app.worker().start();
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(0), { timeout: 10_000 });
    await schedule.pause();
    const before = seen.length;
    const passed = other.seen.length + 3;
    await vi.waitFor(() => expect(other.seen.length).toBeGreaterThanOrEqual(passed), soonMs);
    expect(seen.length).toBeLessThanOrEqual(before + 1); // one may have been on its way
    const paused = seen.length;
    const resumedAt = Date.now();
    await schedule.resume();
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(paused), { timeout: 10_000 });
    for (const slot of seen.slice(paused)) expect(Date.parse(slot)).toBeGreaterThan(resumedAt);
  });

  test('that is removed fires nothing any more, and is not listed', async () => {
    const app = engine.app();
    const { tick, seen } = ticking(app);
    const schedule = app.schedule('often', { every: '1s', overlap: 'allow' }, tick);
    const worker = await app.worker().start();
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(0), { timeout: 10_000 });
    await schedule.remove();
    await worker.close();
    expect(await engine.bareQueue('umbel').getJobCounts()).toMatchObject({
      delayed: 0,
      waiting: 0,
      active: 0,
      completed: 0,
    });
    expect(await engine.sameApp().schedules.list()).toEqual([]);
    expect(await app.schedules.list()).toMatchObject([{ name: 'often', state: 'unstored' }]);
    await expect(schedule.pause()).rejects.toThrow(UnknownScheduleError);
    await expect(schedule.runNow()).rejects.toThrow('app.schedules.sync()');
    expect(await app.schedules.sync()).toMatchObject({ added: ['often'] });
    expect((await schedule.info()).runs).toEqual([]);
  });
});

onEveryEngine('slots that were missed while no worker ran', (engine) => {
  async function after(downHours: number, options: object) {
    const app = engine.app();
    const { tick, seen } = ticking(app);
    // Half an hour from its slots, whatever time it is now.
    const start = Date.now() - 1000 * HOUR - 30 * MINUTE;
    const schedule = app.schedule('hourly', { every: '1h', start: new Date(start), ...options }, tick);
    await app.schedules.sync();
    const latest = start + 1000 * HOUR;
    await plant(engine, 'hourly', back(latest - downHours * HOUR));
    await app.worker().start();
    const slot = (ago: number) => new Date(latest - ago * HOUR).toISOString();
    return { app, schedule, seen, slot };
  }

  test('are caught up with by the latest', async () => {
    const { schedule, seen, slot } = await after(5, {});
    await vi.waitFor(() => expect(seen).toEqual([slot(0)]), soonMs);
    const { runs } = await schedule.info();
    expect(runs).toMatchObject([
      { outcome: 'fired', slot: new Date(slot(0)) },
      { outcome: 'skipped', reason: 'missed', count: 4, slot: new Date(slot(1)) },
    ]);
  });

  test('are not fired', async () => {
    const { schedule, seen, slot } = await after(5, { catchUp: 'skip' });
    await vi.waitFor(async () => expect((await schedule.info()).runs).toHaveLength(1), soonMs);
    expect((await schedule.info()).runs).toMatchObject([
      { reason: 'missed', count: 5, slot: new Date(slot(0)) },
    ]);
    expect(seen).toEqual([]);
  });

  test('are each fired, one after the other', async () => {
    const { schedule, seen, slot } = await after(3, { catchUp: 'all' });
    await vi.waitFor(() => expect(seen).toEqual([slot(2), slot(1), slot(0)]), soonMs);
    expect((await schedule.info()).runs).toHaveLength(3);
  });

  test.each([
    [
      'Europe/Berlin',
      '30 2 * * *',
      '2025-10-25T22:00Z',
      ['2025-10-26T00:30:00.000Z', '2025-10-27T01:30:00.000Z'],
    ],
    [
      'Africa/Cairo',
      '0 0 * * *',
      '2025-04-24T12:00Z',
      ['2025-04-24T22:00:00.000Z', '2025-04-25T21:00:00.000Z'],
    ],
    [
      'America/Havana',
      '0 0 * * *',
      '2025-11-01T12:00Z',
      ['2025-11-02T04:00:00.000Z', '2025-11-03T05:00:00.000Z'],
    ],
  ])('are those of the clock where it was shifted: %s', async (tz, cron, since, slots) => {
    const app = engine.app();
    const { tick, seen } = ticking(app);
    const end = new Date(slots.at(-1) ?? '');
    const schedule = app.schedule('nightly', { cron, tz, end, catchUp: 'all', overlap: 'allow' }, tick);
    await app.schedules.sync();
    await plant(engine, 'nightly', back(Date.parse(since)));
    await app.worker({ concurrency: 1 }).start();
    await vi.waitFor(async () => expect((await schedule.info()).runs).toHaveLength(2), soonMs);
    await vi.waitFor(() => expect(seen.length).toBeGreaterThanOrEqual(2), soonMs);
    expect([...seen].sort()).toEqual(slots);
    expect(await schedule.info()).toMatchObject({ state: 'ended', lateMs: 0 });
  });

  test('are fired once, also if a worker has died before it noted that', async () => {
    const { schedule, seen, slot } = await after(3, { catchUp: 'all', overlap: 'allow' });
    await vi.waitFor(() => expect(seen).toHaveLength(3), soonMs);
    await vi.waitFor(async () => expect((await schedule.info()).runs).toHaveLength(3), soonMs);
    await vi.waitFor(async () => expect((await schedule.info()).runs.at(0)?.state).toBe('completed'), soonMs);
    await plant(engine, 'hourly', ({ slots: _lost, ...data }) => data);
    await vi.waitFor(async () => expect((await schedule.info()).runs).toHaveLength(3), soonMs);
    expect([...seen].sort()).toEqual([slot(2), slot(1), slot(0)]);
    expect(await engine.bareQueue('default').getJobCounts()).toMatchObject({
      completed: 3,
      waiting: 0,
      active: 0,
    });
  });
});

onEveryEngine('a slot that comes while a run goes on', (engine) => {
  function slow(options: { overlap: 'skip' | 'queue' | 'replace'; catchUp?: 'all' }) {
    const app = engine.app();
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const begun: string[] = [];
    const aborted: string[] = [];
    const work = app.task({
      name: 'work',
      run: async (_, { headers, signal }) => {
        const slot = headers['umbel-scheduled-at'] ?? '';
        begun.push(slot);
        signal.addEventListener('abort', () => aborted.push(slot));
        if (begun.length === 1) await opened;
        return null;
      },
    });
    const schedule = app.schedule('work', { every: '1s', ...options }, work);
    return { app, schedule, begun, aborted, open };
  }

  test('is skipped', async () => {
    const { app, schedule, begun, open } = slow({ overlap: 'skip' });
    await app.worker().start();
    await vi.waitFor(
      async () =>
        expect((await schedule.info()).runs[0]).toMatchObject({
          outcome: 'skipped',
          reason: 'overlap',
          count: expect.toSatisfy((count) => count >= 2),
        }),
      soonMs,
    );
    expect(begun).toHaveLength(1);
    open();
    await vi.waitFor(() => expect(begun).toHaveLength(2), soonMs);
    expect(Date.parse(begun[1] ?? '') - Date.parse(begun[0] ?? '')).toBeGreaterThanOrEqual(3000);
  });

  test('waits for its end', async () => {
    const { app, schedule, begun, open } = slow({ overlap: 'queue', catchUp: 'all' });
    await app.worker().start();
    await vi.waitFor(async () => expect((await schedule.info()).waiting.length).toBeGreaterThan(1), soonMs);
    expect(begun).toHaveLength(1);
    open();
    await vi.waitFor(() => expect(begun.length).toBeGreaterThan(2), soonMs);
    const slots = begun.map((slot) => Date.parse(slot) - Date.parse(begun[0] ?? ''));
    expect(slots).toEqual(slots.map((_, n) => n * 1000));
  });

  test('takes its place', async () => {
    const { app, schedule, begun, aborted } = slow({ overlap: 'replace' });
    await app.worker().start();
    await vi.waitFor(() => expect(begun.length).toBeGreaterThan(1), soonMs);
    await vi.waitFor(() => expect(aborted).toEqual([begun[0]]), soonMs);
    await vi.waitFor(async () => {
      const { runs } = await schedule.info();
      expect(runs.at(-1)).toMatchObject({ outcome: 'fired', state: 'revoked' });
      expect(runs.at(-2)).toMatchObject({ outcome: 'fired', state: 'completed' });
    }, soonMs);
  });
});

onEveryEngine('what the code declares', (engine) => {
  test('is stored by sync, which tells what was added, changed and is not declared', async () => {
    const app = engine.app();
    const { tick } = ticking(app);
    app.schedule('same', rarely, tick);
    app.schedule('other', rarely, tick);
    app.schedule('gone', rarely, tick);
    expect(await app.schedules.sync()).toEqual({
      added: ['gone', 'other', 'same'],
      changed: [],
      unchanged: [],
      removed: [],
      undeclared: [],
    });
    expect(await app.schedules.sync()).toMatchObject({ added: [], unchanged: ['gone', 'other', 'same'] });

    const next = engine.sameApp();
    const { tick: nextTick } = ticking(next);
    next.schedule('same', rarely, nextTick);
    const changed = next.schedule('other', { every: '2000h' }, nextTick);
    next.schedule('new', rarely, nextTick);
    const drifted = async () =>
      (await next.schedules.list())
        .filter(({ isDrifted }) => isDrifted)
        .map(({ name, state }) => [name, state]);
    expect(await drifted()).toEqual([
      ['new', 'unstored'],
      ['other', 'active'],
    ]);
    expect(await next.schedules.sync()).toEqual({
      added: ['new'],
      changed: ['other'],
      unchanged: ['same'],
      removed: [],
      undeclared: ['gone'],
    });
    expect(await drifted()).toEqual([]);
    expect((await changed.info()).timing).toEqual({ everyMs: 2000 * HOUR, tz: 'UTC' });
    expect((await app.schedules.list()).find(({ name }) => name === 'other')).toMatchObject({
      isDrifted: true,
    });

    expect(await next.schedules.sync({ prune: true })).toMatchObject({ removed: ['gone'], undeclared: [] });
    expect((await next.schedules.list()).map(({ name }) => name)).toEqual(['new', 'other', 'same']);
  });

  test('keeps its pause when it changes, and its last slot if its slots stay the same', async () => {
    const app = engine.app();
    const { tick } = ticking(app);
    const schedule = app.schedule('report', rarely, tick);
    await app.schedules.sync();
    await schedule.pause();
    const since = Date.now() - 5000 * HOUR;
    await plant(engine, 'report', back(since));
    const sinceNow = async () =>
      (await engine.bareQueue('umbel').getJob(scheduleId('report')))?.data.schedule.since;

    const second = engine.sameApp();
    second.schedule('report', { ...rarely, overlap: 'allow' }, ticking(second).tick);
    expect(await second.schedules.sync()).toMatchObject({ changed: ['report'] });
    expect(await schedule.info()).toMatchObject({ state: 'paused', overlap: 'allow' });
    expect(await sinceNow()).toBe(since);

    const third = engine.sameApp();
    third.schedule('report', { every: '999h' }, ticking(third).tick);
    await third.schedules.sync();
    expect(await schedule.info()).toMatchObject({ state: 'paused' });
    expect(await sinceNow()).toBeGreaterThan(since);
  });

  test('is stored once by programs that start at the same time, and fired once', async () => {
    const first = engine.app();
    const apps = [first, ...Array.from({ length: 4 }, () => engine.sameApp())];
    const all = apps.map((app) => {
      const ticks = ticking(app);
      app.schedule('often', { every: '1s', overlap: 'allow' }, ticks.tick);
      return ticks;
    });
    await Promise.all(apps.map((app) => app.worker().start()));
    const seen = () => all.flatMap((ticks) => ticks.seen);
    await vi.waitFor(() => expect(seen().length).toBeGreaterThan(2), soonMs);
    expect(new Set(seen()).size).toBe(seen().length);
    expect(await first.schedules.list()).toHaveLength(1);
    const { delayed = 0, active = 0, waiting = 0 } = await engine.bareQueue('umbel').getJobCounts();
    expect(delayed + active + waiting).toBe(1);
  });

  test('is stored by workers as they start, which tell of it, unless they are not to', async () => {
    const lines: string[] = [];
    const tell = (line: string) => void lines.push(line);
    const app = engine.app({ logger: { info: tell, warn: tell, error: tell } });
    const { tick } = ticking(app);
    app.schedule('report', rarely, tick);
    await app.worker({ schedules: false }).start();
    expect(await app.schedules.list()).toMatchObject([{ state: 'unstored' }]);
    await app.worker().start();
    expect(await app.schedules.list()).toMatchObject([{ state: 'active' }]);
    const next = engine.sameApp();
    next.schedule('other', rarely, ticking(next).tick);
    await next.worker().start();
    const ofSchedules = lines.filter((line) => line.includes('schedules'));
    expect(ofSchedules.map((line) => line.replace(/^umbel "[^"]*": /, ''))).toEqual([
      'schedules added: report',
      'schedules added: other',
      expect.stringMatching(
        /^the store has schedules that this program does not declare; they still fire: report\./,
      ),
    ]);
  });

  test('is refused at once if its target cannot be sent as it is', async () => {
    const app = engine.app();
    const named = app.task({ name: 'named', input: z.object({ name: z.string() }), run: async () => null });
    const { tick } = ticking(app);
    app.schedule('one', rarely, tick);
    expect(() => app.schedule('one', rarely, tick)).toThrow('Schedule "one" is already declared');
    // @ts-expect-error its input is not complete
    expect(() => app.schedule('two', rarely, named.s())).toThrow(
      /^Schedule "two" cannot be stored: The input of task "named" is not valid/,
    );
    // @ts-expect-error it is none
    expect(() => app.schedule('three', rarely, 'named')).toThrow(ScheduleError);
    const other = ticking(engine.app()).tick;
    expect(() => app.schedule('four', rarely, other)).toThrow('belongs to another app');
    const lazily = group(
      (function* () {
        yield named.s({ name: 'x' });
      })(),
    );
    expect(() => app.schedule('five', rarely, lazily)).toThrow(
      /^Schedule "five" cannot be declared: .*Lazy members have no JSON form/,
    );
    const long = group(Array.from({ length: 6000 }, (_, n) => named.s({ name: `${n}`.padStart(200, '0') })));
    expect(() => app.schedule('six', rarely, long)).toThrow(/takes \d+ bytes as JSON, the limit is 1048576/);
    expect(() => app.schedule('a name', rarely, tick)).toThrow('`name`');
  });

  test('is refused by sync if a schema that takes time says so, and nothing is stored', async () => {
    const app = engine.app();
    const slow = z.string().refine(async (text) => text !== 'no');
    const task = app.task({ name: 'slow', input: slow, run: async () => null });
    app.schedule('fine', rarely, ticking(app).tick);
    app.schedule('wrong', rarely, task.si('no'));
    await expect(app.schedules.sync()).rejects.toThrow(
      /^Schedule "wrong" cannot be stored: The input of task "slow"/,
    );
    await expect(app.worker().start()).rejects.toThrow(ScheduleError);
    expect(await engine.sameApp().schedules.list()).toEqual([]);
  });
});

onEveryEngine('a schedule that cannot fire', (engine) => {
  test('since its input does not fit any more, tells so and goes on', async () => {
    const app = engine.app();
    const before = app.task({ name: 'named', input: z.object({ name: z.string() }), run: async () => null });
    const schedule = app.schedule('often', { every: '1s' }, before.s({ name: 'x' }));
    await app.schedules.sync();
    const next = engine.sameApp();
    next.task({ name: 'named', input: z.object({ id: z.number() }), run: async () => null });
    await next.worker().start();
    const failed = await vi.waitFor(async () => {
      const { runs, state } = await schedule.info();
      expect(state).toBe('active');
      const failed = runs.filter(({ outcome }) => outcome === 'failed');
      expect(failed.length).toBeGreaterThan(1);
      return failed;
    }, soonMs);
    expect(failed[0]).toMatchObject({
      outcome: 'failed',
      error: { name: 'ValidationError', message: expect.stringContaining('input.id') },
    });
  });

  test('since what is stored of it cannot be read, is shown, and put right by the next sync', async () => {
    const app = engine.app();
    const { tick } = ticking(app);
    app.schedule('report', rarely, tick);
    await app.schedules.sync();
    await plant(engine, 'report', ({ schedule, ...data }) => ({
      ...data,
      schedule: { ...schedule, timing: { everyMs: 0, tz: 'UTC' } },
    }));
    expect(await engine.sameApp().schedules.list()).toMatchObject([{ name: 'report', state: 'broken' }]);
    await app.worker({ schedules: false }).start();
    await vi.waitFor(
      async () => expect(await engine.bareQueue('umbel').getJobCounts()).toMatchObject({ failed: 1 }),
      soonMs,
    );
    const undeclared = engine.sameApp();
    expect(await undeclared.schedules.list()).toMatchObject([{ name: 'report', state: 'broken' }]);
    expect(await undeclared.schedules.sync()).toMatchObject({ undeclared: ['report'] });
    expect(await app.schedules.sync()).toMatchObject({ added: ['report'] });
    expect(await app.schedules.list()).toMatchObject([{ state: 'active', isDrifted: false }]);
    await plant(engine, 'report', ({ schedule: _broken, ...data }) => data);
    expect(await undeclared.schedules.sync({ prune: true })).toMatchObject({ removed: ['report'] });
    expect(await undeclared.schedules.list()).toEqual([]);
  });
});

onEveryEngine('with codecs', (engine) => {
  test('the inputs of what is scheduled are not readable in the store, nor why it could not fire', async () => {
    const codecs = [encryption({ keys: { one: Buffer.alloc(32, 7).toString('base64') }, current: 'one' })];
    const app = engine.app({ codecs });
    const seen: string[] = [];
    const define = (of: App, max: number) =>
      of.task({
        name: 'secret',
        input: z.object({
          text: z
            .string()
            .refine((text) => text.length < max, { error: ({ input }) => `too long: ${input}` }),
        }),
        run: async ({ text }) => void seen.push(text),
      });
    const task = define(app, 100);
    const schedule = app.schedule(
      'secret',
      { every: '1s' },
      chain(task.s({ text: 'canary-1' }), task.si({ text: 'canary-2' })),
    );
    await app.schedules.sync();
    const worker = await app.worker().start();
    await vi.waitFor(() => expect(seen.slice(0, 2)).toEqual(['canary-1', 'canary-2']), soonMs);
    await worker.close();
    const other = engine.sameApp();
    define(other, 3);
    await other.worker().start();
    await vi.waitFor(async () => {
      const [run] = (await schedule.info()).runs;
      expect(run).toMatchObject({
        outcome: 'failed',
        error: { message: expect.stringContaining('too long: canary') },
      });
    }, soonMs);
    const stored = await engine.bareQueue('umbel').getJob(scheduleId('secret'));
    const text = JSON.stringify(stored);
    expect(text).toContain('umbel:sealed');
    expect(text).not.toContain('canary');
  });
});
