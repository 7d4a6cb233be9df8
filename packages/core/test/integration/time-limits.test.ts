/** What the timeout of a task covers. */
import { setTimeout as pause } from 'node:timers/promises';
import { type AnyMiddleware, TaskFailedError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

/** Far longer than a test, and at its end it may not keep the process alive. */
const forever = () => pause(3_600_000, undefined, { ref: false });
const endless = async () => {
  await forever();
  return true;
};
const timeout = 100;

onEveryEngine('the timeout of a task', (engine) => {
  const isServed = { isServed: false };

  /** Of sending a call of a task that does not end in time. */
  async function failure(define: (app: ReturnType<typeof engine.app>) => { delay(): Promise<unknown> }) {
    const app = engine.app();
    const task = define(app);
    await app.worker().start();
    const result = (await task.delay()) as { get(options: object): Promise<unknown> };
    const error = await result.get({ timeout: '50s' }).catch((reason: unknown) => reason);
    if (!(error instanceof TaskFailedError)) throw error;
    return error.cause;
  }

  const late = { name: 'TimeLimitError', message: expect.stringContaining('timeout of 100 ms (attempt 1)') };

  test('covers an input schema that is slow, and then the handler does not run', async () => {
    const ran: string[] = [];
    let validated = () => {};
    const isValidated = new Promise<void>((resolve) => {
      validated = resolve;
    });
    const app = engine.app();
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const input = z.object({}).refine(async () => {
      if (!isServed.isServed) return true; // the sender's check
      await gate;
      queueMicrotask(() => setImmediate(validated));
      return true;
    });
    const task = app.task({ name: 'slow', input, timeout, run: () => void ran.push('handler') });
    const result = await task.delay({});
    isServed.isServed = true;
    try {
      await app.worker().start();
      const error = await result.get({ timeout: '50s' }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ cause: late });
      release();
      await isValidated;
      expect(ran).toEqual([]);
    } finally {
      isServed.isServed = false;
    }
  });

  test('covers input schema and handler together', async () => {
    const isQuick = { value: true };
    const app = engine.app();
    const input = z.object({}).refine(async () => {
      if (!isQuick.value) await pause(300);
      return true;
    });
    const task = app.task({ name: 'both', input, timeout: 500, run: (_, ctx) => ctx.sleep(300) });
    const result = await task.delay({});
    isQuick.value = false;
    await app.worker().start();
    expect(await result.get({ timeout: '50s' }).catch((reason: unknown) => reason)).toMatchObject({
      cause: { name: 'TimeLimitError' },
    });
  });

  test('covers an output schema that is slow', async () => {
    const output = z.string().refine(endless);
    expect(
      await failure((app) => app.task({ name: 'slow', output, timeout, run: () => 'done' })),
    ).toMatchObject(late);
  });

  test('covers the output schema of what a handler stops with', async () => {
    const output = z.string().refine(endless);
    expect(
      await failure((app) => app.task({ name: 'slow', output, timeout, run: (_, ctx) => ctx.stop('done') })),
    ).toMatchObject(late);
  });

  test('covers the schema of a declared failure', async () => {
    const failures = { 'sold-out': z.object({ left: z.number() }).refine(endless) };
    expect(
      await failure((app) =>
        app.task({ name: 'slow', failures, timeout, run: (_, ctx) => ctx.fail('sold-out', { left: 1 }) }),
      ),
    ).toMatchObject(late);
  });

  test('covers the output schema of what stands in the place of a job', async () => {
    const app = engine.app();
    const output = z.number().refine(endless);
    const part = app.task({ name: 'part', run: () => 1 });
    const task = app.task({ name: 'slow', output, timeout, run: (_, ctx) => ctx.replace(part) });
    await app.worker().start();
    expect(
      await (await task.delay()).get({ timeout: '50s' }).catch((reason: unknown) => reason),
    ).toMatchObject({ cause: late });
  });

  test('covers middleware and the hook before the handler', async () => {
    const middleware: AnyMiddleware[] = [
      {
        async run(_ctx, next) {
          await forever();
          return next();
        },
      },
    ];
    for (const options of [{ middleware }, { hooks: { before: forever } }]) {
      const app = engine.app(options);
      const task = app.task({ name: 'slow', timeout, run: () => 'done' });
      await app.worker().start();
      expect(
        await (await task.delay()).get({ timeout: '50s' }).catch((reason: unknown) => reason),
      ).toMatchObject({ cause: late });
    }
  });

  test('leaves an attempt alone whose input is refused at once', async () => {
    const isStrict = { value: false };
    const app = engine.app();
    const input = z.object({}).refine(() => !isStrict.value);
    const task = app.task({ name: 'refused', input, timeout: 20, run: () => 'done' });
    const result = await task.delay({});
    isStrict.value = true;
    await app.worker().start();
    expect(await result.get({ timeout: '50s' }).catch((reason: unknown) => reason)).toMatchObject({
      cause: { name: 'ValidationError' },
    });
  });
});
