import { chain, group } from '@umbel/canvas';
import { JobStateError, TimeoutError, UnknownJobError } from '@umbel/core';
import { expect, expectTypeOf, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../../test/engines.js';
import { soon, start } from '../../support/running.js';

onEveryEngine('a result', (engine) => {
  test('32. a run handle has an id, gets, tells its state, ends a wait, is revoked and forgotten', async () => {
    const { app, double, hold, signals, count } = await start(engine);
    const run = await chain(double, group([hold, double]), group([])).delay(1);
    await vi.waitFor(() => expect(count('hold')).toBe(1));
    expect(run.id).toMatch(/^[0-9A-Za-z]{21}$/);
    expect(await run.state()).toBe('waiting-children');
    await expect(run.get({ timeout: 20 })).rejects.toBeInstanceOf(TimeoutError);
    await expect(run.get({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    await expect(run.forget()).rejects.toBeInstanceOf(JobStateError);
    signals.emit('release');
    expect(await run.get(soon)).toEqual([]);
    expect(await run.state()).toBe('completed');
    expect(await run.revoke()).toBe(false);
    await run.forget();
    expect(await run.state()).toBe('unknown');
    expect(await app.result(`${run.id}.0-0`).state()).toBe('unknown');
  });

  test('32. a run handle is not awaitable, so that nothing waits by accident', async () => {
    const { double } = await start(engine);
    for (const sent of [
      await double.delay(1),
      await chain(double, double).delay(1),
      await group([]).delay(),
    ]) {
      expect('then' in sent).toBe(false);
      expect(await sent).toBe(sent);
      await sent.get(soon);
    }
  });

  test('33. a handle is rebuilt from an id in another process, and an unknown id is unknown', async () => {
    const { app, double } = await start(engine);
    const run = await chain(double, double).delay(1);
    const other = engine.sameApp();
    expect(await other.result(run.id).get(soon)).toBe(4);
    const typed = app.result(double, `${run.id}.0-0`);
    expectTypeOf(await typed.get(soon)).toEqualTypeOf<number>();
    expect(await typed.get(soon)).toBe(2);
    for (const none of [other.result('nobody'), app.result(double, 'nobody')]) {
      expect(await none.state()).toBe('unknown');
      await expect(none.get(soon)).rejects.toBeInstanceOf(UnknownJobError);
      await expect(none.revoke()).rejects.toBeInstanceOf(UnknownJobError);
    }
  });

  test('34. get() inside a task is refused with an explanation, unless it is allowed', async () => {
    const { app, double } = await start(engine);
    const outer = app.task({
      name: 'outer',
      input: z.number(),
      run: async (n) => {
        const inner = await chain(double, group([double])).delay(n);
        const refused = await inner.get().then(
          () => 'given',
          (error: Error) => error.message,
        );
        return { refused, value: await inner.get({ ...soon, allowInTask: true }) };
      },
    });
    const run = await group([outer, outer]).delay(2);
    for (const { refused, value } of await run.get(soon)) {
      expect(refused).toContain('allowInTask');
      expect(value).toEqual([8]);
    }
  });
});
