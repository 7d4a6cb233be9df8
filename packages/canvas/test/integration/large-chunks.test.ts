/** A job with very many inputs: nothing of an attempt may nest as deep as it has inputs. */
import { chunks } from '@umbel/canvas';
import type { AnyMiddleware } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

onEveryEngine('a chunk of very many inputs', (engine) => {
  /** Every kind of code of the user's runs for each input; the last input's handler does not end. */
  function endless(count: number, timeout: number) {
    let last = () => {};
    const isLast = new Promise<void>((resolve) => {
      last = resolve;
    });
    const limits = { inputBytes: 8_000_000, resultBytes: 8_000_000, groupMembers: count };
    const middleware: AnyMiddleware[] = [{ run: (_, next) => next() }, { run: (_, next) => next() }];
    const app = engine.app({
      limits,
      middleware,
      hooks: { before: () => {} },
    });
    const task = app.task({
      name: 'endless',
      input: z.object({ n: z.number() }),
      timeout,
      run: async ({ n }, ctx) => {
        if (n < count) return n;
        last();
        await ctx.sleep('1h');
        return n;
      },
    });
    const inputs = Array.from({ length: count }, (_, n) => ({ n: n + 1 }));
    return { app, isLast, send: () => chunks(task, inputs, count).delay() };
  }

  test.each([20_000, 100_000])(
    'of %i is revoked at the last of them',
    async (count) => {
      const { app, isLast, send } = endless(count, 600_000);
      await app.worker().start();
      const result = await send();
      await isLast;
      await result.revoke({ terminate: true });
      expect(await result.outcome({ timeout: '50s' })).toMatchObject({
        ok: false,
        error: { state: 'revoked', cause: { name: 'RevokedError' } },
      });
      // The process, and its worker, go on.
      const ping = app.task({ name: 'ping', run: () => 'pong' });
      expect(await (await ping.delay()).get({ timeout: '50s' })).toBe('pong');
    },
    300_000,
  );
});
