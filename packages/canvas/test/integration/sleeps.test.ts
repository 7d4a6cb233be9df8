import { once } from 'node:events';
import { chain, fallback, group, sleep, when } from '@umbel/canvas';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { failure, start as running, soon, value } from '../support/running.js';

const MS = 150;

/** With a task that tells when it runs, and one that gives a moment. */
async function start(engine: Engine) {
  const all = await running(engine);
  const stamp = all.app.task({
    name: 'stamp',
    input: z.unknown(),
    run: async (passed) => ({ passed, at: Date.now() }),
  });
  const due = all.app.task({
    name: 'due',
    input: z.object({ ms: z.number() }),
    run: async ({ ms }) => ({ id: 'a', dueAt: new Date(Date.now() + ms).toISOString() }),
  });
  const stateOf = (id: string) => all.app.result(id).state();
  return { ...all, stamp, due, stateOf };
}

onEveryEngine('a sleep', (engine) => {
  test('passes the value on after its time, and never earlier', async () => {
    const { stamp, echo } = await start(engine);
    const sent = Date.now();
    const result = await value(chain(echo, sleep(MS), stamp).delay({ deep: [1] }));
    expect(result.passed).toEqual({ deep: [1] });
    expect(result.at - sent).toBeGreaterThanOrEqual(MS);
  });

  test('passes the value on at the moment that it holds, and at once if that is over', async () => {
    const { stamp, due } = await start(engine);
    const sent = Date.now();
    const later = await value(chain(due, sleep.until('dueAt'), stamp).delay({ ms: MS }));
    expect(later.at - sent).toBeGreaterThanOrEqual(MS);
    expect(later.passed).toMatchObject({ id: 'a' });
    const past = await value(chain(due, sleep.until('dueAt'), stamp).delay({ ms: -86_400_000 }));
    expect(past.passed).toMatchObject({ id: 'a' });
  });

  test.each([
    ['tomorrow', '"tomorrow"'],
    ['2030-01-31T09:00:00', '"2030-01-31T09:00:00"'],
    ['2030-02-30T09:00:00Z', '"2030-02-30T09:00:00Z"'],
    [7, 'a number'],
  ])('fails with words for %j, which is no date and time', async (dueAt, shown) => {
    const { app, stamp } = await start(engine);
    const bad = app.task({ name: 'bad', run: async () => ({ dueAt: dueAt as string }) });
    const error = await failure(chain(bad, sleep.until('dueAt'), stamp).delay());
    expect(error.task).toBe('sleep');
    expect(error.message).toContain(
      `input.dueAt: expected a date and time with a time zone, such as "2030-01-31T09:00:00Z", got ${shown}`,
    );
  });

  test('holds no worker: as many sleep as are sent, with a concurrency of one', async () => {
    const app = engine.app();
    const echo = app.task({ name: 'echo', input: z.number(), run: async (n) => n });
    await app.worker({ concurrency: 1 }).start();
    const run = await group(
      Array.from({ length: 30 }, (_, n) => chain(echo.si(n), sleep('1h'), echo)),
    ).delay();
    const asleep = async () => (await run.graph()).nodes.filter(({ kind }) => kind === 'sleep');
    await vi.waitFor(async () =>
      expect(await asleep()).toMatchObject([{ counts: { pending: 30 }, count: 30 }]),
    );
    expect(await echo.delay(7).then((sent) => sent.get(soon))).toBe(7);
    await vi.waitFor(async () => {
      await run.wake();
      expect(await run.state()).toBe('completed');
    });
    expect(await run.get(soon)).toEqual(Array.from({ length: 30 }, (_, n) => n));
  });

  test('fixes its moment once, which a restart does not move', async () => {
    const { app, stamp, echo, stateOf } = await start(engine);
    const run = await chain(echo, sleep('1h'), stamp).delay(1);
    await vi.waitFor(async () => expect(await stateOf(`${run.id}.0-1`)).toBe('delayed'));
    const untilOf = async () => (await run.graph()).nodes.find(({ kind }) => kind === 'sleep')?.until;
    const until = await untilOf();
    expect(until?.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
    // Any program may start the delayed job early.
    const job = await engine.bareQueue('umbel').getJob(`${run.id}.0-1`);
    await job?.promote();
    await vi.waitFor(async () => expect(await stateOf(`${run.id}.0-1`)).toBe('delayed'));
    expect(await untilOf()).toEqual(until);
    void app;
  });

  test('is ended by wake, which counts what it ended', async () => {
    const { stamp, echo, stateOf } = await start(engine);
    const run = await chain(echo, sleep('1h'), stamp).delay(1);
    await vi.waitFor(async () => expect(await stateOf(`${run.id}.0-1`)).toBe('delayed'));
    expect(await run.wake('0-1')).toBe(1);
    expect((await run.get(soon)).passed).toBe(1);
    expect(await run.wake('0-1')).toBe(0);
    expect(await run.wake()).toBe(0);
  });

  test('is not woken before it begins, and other steps are not woken', async () => {
    const { hold, signals, echo } = await start(engine);
    const held = once(signals, 'held');
    const run = await chain(hold, sleep('1h'), echo).delay(1);
    await held;
    await expect(run.wake('0-1')).rejects.toThrow(
      `Step ${run.id}.0-1 does not wait now, because an earlier step or a turn has not ended.`,
    );
    await expect(run.wake(run.id)).rejects.toThrow('is neither a sleep nor a loop');
    await expect(run.wake('0-7')).rejects.toThrow(`${run.id}.0-7`);
    await expect(run.wake('')).rejects.toThrow('Expected `step` to be text of 1 to');
    expect(await run.wake()).toBe(0);
    signals.emit('release');
    await vi.waitFor(async () => expect(await run.wake('0-1')).toBe(1));
    expect(await run.get(soon)).toBe(1);
  });

  test('ends when its run is revoked, and continues when that is resumed', async () => {
    const { stamp, echo, stateOf } = await start(engine);
    const run = await chain(echo, sleep(MS), stamp).delay('x');
    await vi.waitFor(async () => expect(await stateOf(`${run.id}.0-1`)).toBe('delayed'));
    expect(await run.revoke()).toBe(true);
    await expect(run.get(soon)).rejects.toMatchObject({ state: 'revoked' });
    expect(await run.resume()).toBeGreaterThan(0);
    expect((await run.get(soon)).passed).toBe('x');
  });

  test('fails at once with the step before it, and is skipped when its chain ends early', async () => {
    const { app, fail, echo, stateOf } = await start(engine);
    expect((await failure(chain(fail, sleep('1h'), echo).delay(1))).task).toBe('fail');
    const stop = app.task({
      name: 'stop',
      input: z.unknown(),
      run: async (_, ctx): Promise<number> => ctx.stop(5),
    });
    const run = await chain(stop, sleep('1h'), echo).delay(1);
    expect(await run.get(soon)).toBe(5);
    expect(await stateOf(`${run.id}.0-1`)).toBe('skipped');
  });

  test('stands at the start, at the end, in a branch and after a group', async () => {
    const { echo, double } = await start(engine);
    expect(await value(chain(sleep<number>(10), double).delay(4))).toBe(8);
    expect(await value(chain(double, sleep(10)).delay(4))).toBe(8);
    await expect(sleep<number>(10).delay(4)).rejects.toThrow(
      'The workflow has no task, so no app can send it',
    );
    expect(await value(chain(group([double, double]), sleep(10), echo).delay(2))).toEqual([4, 4]);
    const many = Array.from({ length: 120 }, (_, n) => echo.si(n));
    expect(await value(chain(group(many), sleep(10), echo).delay())).toEqual(many.map((_, n) => n));
    const waits = when({ urgent: false }, sleep(MS));
    const sent = Date.now();
    expect(await value(chain(echo, waits as never).delay({ urgent: true }))).toEqual({ urgent: true });
    expect(await value(chain(echo, waits as never).delay({ urgent: false }))).toEqual({ urgent: false });
    expect(Date.now() - sent).toBeGreaterThanOrEqual(MS);
    expect(await value(fallback(chain(double, sleep(10), double), echo.si(0)).delay(1))).toBe(4);
    expect(await value(sleep<number>(10).link(echo).delay(3))).toBe(3);
  });

  test('begins after the countdown of its run', async () => {
    const { stamp } = await start(engine);
    const sent = Date.now();
    const run = await chain(sleep<number>(MS), stamp).applyAsync(1, { countdown: MS });
    expect((await run.get(soon)).at - sent).toBeGreaterThanOrEqual(2 * MS);
  });

  test('is no task: it counts as no job of its run', async () => {
    const { echo } = await start(engine);
    const run = await chain(echo, sleep(10), echo).delay(1);
    await run.get(soon);
    expect(await run.counts()).toMatchObject({ total: 2, done: 2 });
    const { jobs, nodes } = await run.graph();
    expect(jobs).toBe(2);
    expect(nodes.map(({ label, kind, state }) => [label, kind, state])).toEqual([
      ['echo', undefined, 'completed'],
      ['sleep 10ms', 'sleep', 'completed'],
      ['echo', undefined, 'completed'],
    ]);
  });
});
