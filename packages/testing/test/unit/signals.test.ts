import { chain, group, waitFor } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { testApp as bareTestApp, NothingLeftError, OpenWaitError } from '@umbel/testing';
import { testApp } from '@umbel/testing/vitest';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

function shop() {
  const app = createApp({ name: 'signals', connection: 'redis://127.0.0.1:1' });
  const approved = app.signal({
    name: 'expense.approved',
    payload: z.object({ by: z.string(), ok: z.boolean() }),
  });
  const paid = app.signal({ name: 'paid' });
  const draft = app.task({
    name: 'draft',
    input: z.object({ id: z.string() }),
    run: async ({ id }) => ({ id }),
  });
  const book = app.task({ name: 'book', input: z.unknown(), run: async (input) => input });
  const expense = chain(draft, waitFor(approved, { key: 'id', timeout: '7d' }), book);
  return { app, approved, paid, draft, book, expense };
}

describe('a test of a workflow that waits', () => {
  test('sends the signal, and sees the waits', async () => {
    const { app, approved, expense } = shop();
    const t = await testApp(app);
    const run = await t.start(expense, { id: 'exp-17' });
    const waits = await t.waiting();
    expect(waits).toMatchObject([{ name: 'expense.approved', key: 'exp-17', runId: run.id }]);
    expect(waits[0]?.since).toEqual(t.now);
    await t.advance('2d');
    expect(await t.signal(approved, 'exp-17', { by: 'ann', ok: true })).toBe('accepted');
    expect(await run.get()).toEqual({ by: 'ann', ok: true });
    expect(t.now).toEqual(new Date('2030-01-03T00:00:00Z'));
    expect(await t.waiting()).toEqual([]);
    // @ts-expect-error `ok` is missing
    await expect(t.signal(approved, 'exp-18', { by: 'ann' })).rejects.toThrow('payload.ok');
  });

  test('the timeout passes at once, and no sooner', async () => {
    const { app, approved, book, draft } = shop();
    const t = await testApp(app);
    const late = { by: 'system', ok: false };
    const flow = chain(draft, waitFor(approved, { key: 'id', timeout: '7d', onTimeout: late }), book);
    const run = await t.start(flow, { id: 'a' });
    await t.advance('6d');
    expect(await t.waiting()).toHaveLength(1);
    expect(await run.get()).toEqual(late);
    expect(t.now).toEqual(new Date('2030-01-08T00:00:00Z'));
    expect(await t.signal(approved, 'a', { by: 'ann', ok: true })).toBe('tooLate');
  });

  test('a signal at the very end of the wait is too late, whatever runs first', async () => {
    const { app, approved, expense } = shop();
    const t = await testApp(app);
    const run = await t.start(expense, { id: 'a' });
    await t.advance('7d');
    expect(await t.signal(approved, 'a', { by: 'ann', ok: true })).toBe('tooLate');
    await expect(run.get()).rejects.toMatchObject({ cause: { code: 'SIGNAL_TIMEOUT' } });
  });

  test('a signal without a wait is kept for a day', async () => {
    const { app, approved, expense } = shop();
    const t = await testApp(app);
    await t.signal(approved, 'early', { by: 'ann', ok: true });
    await t.advance('23h');
    expect(await t.run(expense, { id: 'early' })).toEqual({ by: 'ann', ok: true });
    await t.signal(approved, 'old', { by: 'ann', ok: true });
    await t.advance('25h');
    await expect(t.run(expense, { id: 'old' })).rejects.toMatchObject({ cause: { code: 'SIGNAL_TIMEOUT' } });
  });

  test('no time passes for a wait without end, and the error names it', async () => {
    const { app, paid } = shop();
    const t = await testApp(app);
    const run = await t.start(waitFor(paid, { key: { text: 'k' }, timeout: 'never' }));
    await t.runUntilIdle();
    expect(t.now).toEqual(new Date('2030-01-01T00:00:00Z'));
    const error: unknown = await run.get().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NothingLeftError);
    expect(String(error)).toContain('waits for signal "paid" with the key "k". Send it with t.signal(…).');
    await t.advance('730d'); // longer than the store delays a job
    await t.signal(paid, 'k');
    expect(await run.get()).toBeNull();
  });

  test('that ends with an open wait says which', async () => {
    const { app, expense } = shop();
    const t = await bareTestApp(app);
    await t.start(expense, { id: 'exp-17' });
    await t.waiting();
    const error: unknown = await t.close().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenWaitError);
    expect(String(error)).toContain('waits for signal "expense.approved" with the key "exp-17".');
    expect((error as OpenWaitError).waits).toHaveLength(1);
    const tolerant = await testApp(app, { openWaits: 'allow' });
    await tolerant.start(expense, { id: 'exp-17' });
    expect(await tolerant.waiting()).toHaveLength(1);
    await tolerant.close();
    await expect(testApp(app, { openWaits: 'yes' as never })).rejects.toThrow('`openWaits`');
  });

  test('a wait survives a crash of its worker, at any time', async () => {
    const { app, approved, expense, draft } = shop();
    const t = await testApp(app);
    const run = await t.start(group([expense, draft]), { id: 'a' });
    t.crashWorker({ at: 'after-handler', task: draft });
    await t.advance('5m');
    expect(await t.waiting()).toHaveLength(1);
    await t.signal(approved, 'a', { by: 'ann', ok: true });
    expect(await run.get()).toEqual([{ by: 'ann', ok: true }, { id: 'a' }]);
  });

  test('waits for signals that nobody declares here, and fails with words after a minute', async () => {
    const { app } = shop();
    const t = await testApp(app);
    const other = createApp({ name: 'signals', connection: 'redis://127.0.0.1:1' });
    const foreign = other.signal({ name: 'foreign', payload: z.string() });
    const expression = waitFor(foreign, { key: { text: 'k' }, timeout: '1d' }).toJSON();
    const { fromJSON } = await import('@umbel/canvas');
    const run = await t.start(fromJSON(app, expression) as ReturnType<typeof waitFor<typeof foreign>>);
    await t.within(() => app.signals.send('foreign', 'k', 'hello'));
    await expect(run.get()).rejects.toThrow(
      /Signal "foreign" is not declared in this process \(known: .*expense/,
    );
    expect(t.now.getTime()).toBeGreaterThanOrEqual(Date.parse('2030-01-01T00:01:00Z'));
  });
});
