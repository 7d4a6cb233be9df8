/** A strict schema behind a step that gives more keys: the types do not show it, so the error says what to do. */
import { chain } from '@umbel/canvas';
import { TaskFailedError, ValidationError } from '@umbel/core';
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

onEveryEngine('strict inputs', (engine) => {
  async function refusal(
    input: z.ZodType<{ path: string }, { path: string }> | v.GenericSchema<{ path: string }>,
  ) {
    const app = engine.app();
    const fetched = app.task({ name: 'fetch', run: async () => ({ path: 'a', bytes: 1, at: 'b' }) });
    const store = app.task({
      name: 'store',
      input: input as z.ZodType<{ path: string }>,
      run: async () => 1,
    });
    await app.worker().start();
    const result = await chain(fetched, store).delay();
    const error = await result.get().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TaskFailedError);
    const { cause } = error as TaskFailedError;
    expect(cause).toBeInstanceOf(ValidationError);
    return cause as ValidationError;
  }

  test.each([
    ['zod', z.strictObject({ path: z.string() })],
    ['valibot', v.strictObject({ path: v.string() })],
  ])('of %s name the keys that are too many, and the ways out', async (_library, schema) => {
    const { message } = await refusal(schema);
    expect(message).toContain('the previous step returns "bytes", "at", which this strict schema rejects');
    expect(message).toContain('z.object instead of z.strictObject');
    expect(message).toContain('.into(key)');
  });

  test('another fault is not taken for one', async () => {
    const { message } = await refusal(z.object({ path: z.string(), bytes: z.string().optional() }));
    expect(message).not.toContain('strict');
  });
});
