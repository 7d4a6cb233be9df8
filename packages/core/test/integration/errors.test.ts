/** What callers and operators learn of an error that a handler threw. */
import { group, map } from '@umbel/canvas';
import { RemoteError, TaskFailedError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

class CardDeclined extends Error {
  constructor(
    readonly decline: { readonly code: string; readonly card?: string },
    readonly retryable = false,
  ) {
    super('the card was declined');
  }
}

const failureOf = async (result: { get(options: typeof soon): Promise<unknown> }) => {
  const thrown = await result.get(soon).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(TaskFailedError);
  return (thrown as TaskFailedError).cause;
};

onEveryEngine('an error of a handler', (engine) => {
  test('reaches callers and dead letters with the name of its class and its masked fields', async () => {
    const app = engine.app();
    const pay = app.task({
      name: 'pay',
      input: z.object({ card: z.string() }),
      sensitive: ['card'],
      run: async ({ card }): Promise<string> => {
        throw new CardDeclined({ code: `do_not_honor:${card}`, card });
      },
    });
    await app.worker().start();
    const decline = { code: 'do_not_honor:***', card: '***' };
    const result = await pay.delay({ card: '4242-4242' });
    const cause = await failureOf(result);
    expect(cause).toBeInstanceOf(RemoteError);
    expect(cause).toMatchObject({ name: 'CardDeclined', decline, retryable: false });
    const [letter] = await app.deadLetters.list({ error: 'CardDeclined' });
    expect(letter).toMatchObject({ id: result.id, error: { fields: { decline, retryable: false } } });
    expect((await app.deadLetters.get(result.id)).error.fields).toEqual({ decline, retryable: false });
  });

  test('reaches them with its inner errors, also as the failure of a step', async () => {
    const app = engine.app();
    const ask = app.task({
      name: 'ask',
      run: async (): Promise<number> => {
        const asked = ['a', 'b'].map((host) => Promise.reject(new CardDeclined({ code: host })));
        return Promise.any(asked);
      },
    });
    await app.worker().start();
    for (const result of [await ask.delay(), await group([ask.s(), ask.s()]).delay()]) {
      const cause = (await failureOf(result)) as AggregateError;
      expect(cause).toBeInstanceOf(AggregateError);
      expect(cause.errors).toMatchObject([
        { name: 'CardDeclined', decline: { code: 'a' } },
        { name: 'CardDeclined', decline: { code: 'b' } },
      ]);
    }
    const [letter] = await app.deadLetters.list({ error: 'AggregateError' });
    expect(letter?.error.errors).toMatchObject([{ name: 'CardDeclined' }, { name: 'CardDeclined' }]);
  });
});

onEveryEngine('minus zero', (engine) => {
  test('is carried as 0 in inputs and results, at any depth, and fails nothing', async () => {
    const app = engine.app();
    const given: unknown[] = [];
    const round = app.task({
      name: 'round',
      input: z.object({ by: z.array(z.number()) }),
      run: async (input) => {
        given.push(input);
        return { sum: Math.round(-0.2), all: [-0, { deep: -0 }] };
      },
    });
    const whole = app.task({ name: 'whole', input: z.number(), run: async (n) => n * -1 });
    await app.worker().start();
    const result = await (await round.delay({ by: [-0, 1] })).get(soon);
    expect(result).toStrictEqual({ sum: 0, all: [0, { deep: 0 }] }); // toStrictEqual tells -0 from 0
    expect(given).toStrictEqual([{ by: [0, 1] }]);
    expect(await (await whole.delay(0)).get(soon)).toBe(0); // and so does toBe
    expect(await (await map(whole, [0, -0]).delay()).get(soon)).toStrictEqual([0, 0]);
  });
});
