import { once } from 'node:events';
import { chain, chord, fallback, group } from '@umbel/canvas';
import { InvalidOptionError, type StepOutcome } from '@umbel/core';
import { expect, expectTypeOf, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../../test/engines.js';
import type { AnySignature } from '../../support/places.js';
import { failure, soon, start, value } from '../../support/running.js';

// Of rule 26 each state in each place is in final-states.test.ts; here they meet in one join.
onEveryEngine('a join', (engine) => {
  test('26. every final state resolves a join: one of each kind among settled members', async () => {
    const { app, double, fail, echo } = await start(engine);
    const stop = app.task({
      name: 'stop',
      input: z.unknown(),
      run: async (_, ctx): Promise<number> => ctx.stop(0.5),
    });
    const swap = app.task({
      name: 'swap',
      input: z.unknown(),
      run: async (_, ctx): Promise<number> => ctx.replace(double.si(8)),
    });
    const reject = app.task({ name: 'reject', input: z.unknown(), run: async (_, ctx) => ctx.reject('no') });
    const slow = app.task({
      name: 'slow',
      input: z.unknown(),
      timeout: 15,
      run: async (_, { signal }) => void (await once(signal, 'abort')),
    });
    const late = echo.set({ countdown: '1h' });
    const members = {
      completed: double,
      stopped: chain(stop, double),
      replaced: swap,
      failed: fail,
      expired: echo.set({ expires: new Date(Date.now() - 1) }),
      timedOut: slow,
      rejected: chain(reject, echo),
      unknown: app.signature('nobody'),
      invalid: chain(echo.si('text'), double as never),
      revoked: late,
      lost: late,
    };
    const names = Object.keys(members);
    const run = await chord(group.settled(members), echo).delay(2);
    const at = (name: string) => app.result(`${run.id}.0-0.${names.indexOf(name)}`);
    await vi.waitFor(async () => expect(await at('lost').state()).toBe('delayed'));
    await at('revoked').revoke();
    await engine.bareQueue('default').remove(at('lost').id);
    const outcomes = (await run.get(soon)) as Record<string, StepOutcome<unknown>>;
    const short = Object.entries(outcomes).map(([name, end]) => [
      name,
      end.ok ? end.value : end.error.error.name,
    ]);
    expect(Object.fromEntries(short)).toEqual({
      completed: 4,
      stopped: 0.5,
      replaced: 16,
      failed: 'Boom',
      expired: 'ExpiredError',
      timedOut: 'TimeLimitError',
      rejected: 'RejectedError',
      unknown: 'UnknownTaskError',
      invalid: 'ValidationError',
      revoked: 'RevokedError',
      lost: 'LostJobError',
    });
    expect(Object.keys(outcomes)).toEqual(names);
  });

  test('27. policies: group.settled gives an outcome of each member, once all have ended', async () => {
    const { double, fail, hold, signals, echo } = await start(engine);
    const held = once(signals, 'held');
    const run = await group.settled([fail, hold, double]).delay(1);
    await held;
    expect(await run.state()).toBe('waiting-children');
    signals.emit('release');
    const outcomes = await run.get(soon);
    expectTypeOf(outcomes).toEqualTypeOf<[StepOutcome<number>, StepOutcome<number>, StepOutcome<number>]>();
    expect(outcomes).toMatchObject([{ ok: false, error: { task: 'fail' } }, { value: 1 }, { value: 2 }]);
    const both = group.settled({ good: double, bad: chain(double, fail) });
    const expected = { good: { ok: true, value: 4 }, bad: { ok: false } };
    expect(await value(chain(double, both, echo).delay(1))).toMatchObject(expected);
    const wide = group.settled(Array.from({ length: 130 }, (_, n) => (n === 120 ? fail : double.si(n))));
    const many = await value(chain(double, wide).delay(1));
    expect(many.map(({ ok }) => ok).indexOf(false)).toBe(120);
    expect(many).toHaveLength(130);
  });

  test('27. policies: group.any gives the first success, and fails once all have failed', async () => {
    const { double, fail, hold, signals } = await start(engine);
    const first = group.any([fail, hold, chain(double, double)]);
    expect(await value(first.delay(1))).toBe(4);
    expect(await value(chord(first, double).delay(1))).toBe(8);
    expect(await value(chain(double, group([group.any([fail, double]), double])).delay(1))).toEqual([4, 4]);
    expect((await failure(group.any([fail, chain(double, fail)]).delay(1))).cause.name).toBe('Boom');
    signals.emit('release');
  });

  test('27. policies: group.atLeast gives those that succeed, and fails once it cannot any more', async () => {
    const { double, fail, hold, signals, echo, sum } = await start(engine);
    expect(await value(group.atLeast(2, [double, hold, fail, double.si(4)]).delay(1))).toEqual([2, 8]);
    expect(await value(chord(group.atLeast(2, [double, fail, double]), sum).delay(1))).toBe(4);
    const hopeless = await group.atLeast(2, [fail, hold, fail]).delay(1);
    expect((await failure(Promise.resolve(hopeless))).task).toBe('fail');
    const large = group(Array.from({ length: 120 }, () => double));
    expect(await value(chain(group.atLeast(1, [large]), echo).delay(1))).toEqual([Array(120).fill(2)]);
    expect(() => group.atLeast(0, [double])).toThrow(InvalidOptionError);
    expect(() => group.atLeast(2, [double])).toThrow('only 1');
    signals.emit('release');
  });

  test.each(['a failure', 'any success'])(
    '27. policies: cancelSiblings skips members not yet started, after %s',
    async (name) => {
      const { app, double, fail, echo, count } = await start(engine);
      const late = chain(echo.set({ countdown: '1h' }), group([echo]), echo);
      const members =
        name === 'a failure'
          ? group([fail, late], { cancelSiblings: true })
          : group.any([double, late], { cancelSiblings: true });
      const run = await chain(double, members as AnySignature).delay(1);
      const outcome = await run.outcome(soon);
      expect(outcome.ok).toBe(name !== 'a failure');
      for (const path of ['0.1-0', '0.1']) {
        await vi.waitFor(async () => expect(await app.result(`${run.id}.${path}`).state()).toBe('skipped'));
      }
      expect(count('echo')).toBe(0);
    },
  );

  test('28. fallback(sig, other): on failure other runs with the error record, and only then', async () => {
    const { app, double, fail, echo, note, notes, count } = await start(engine);
    const worse = app.task({
      name: 'worse',
      input: z.unknown(),
      run: () => Promise.reject(new Error('worse')),
    });
    expect(await value(chain(double, fallback(double, note)).delay(1))).toBe(4);
    expect(notes).toEqual([]);
    const record = { task: 'fail', attempts: 1, error: { name: 'Boom', message: 'it went wrong' } };
    expect(await value(chain(double, fallback(chain(double, fail, double), echo)).delay(1))).toMatchObject(
      record,
    );
    const deep = fallback(group([double, chord([fail, double], echo)]), chain(echo, group([echo])));
    expect(await value(chain(double, deep, echo).delay(1))).toMatchObject([record]);
    expect((await failure(fallback(fail, worse).delay(1))).task).toBe('worse');
    const before = count('echo');
    expect((await failure(chain(fail, fallback(double, echo)).delay(1))).task).toBe('fail');
    expect(count('echo')).toBe(before); // what has failed before the step is no failure of it
  });
});
