import { chain, chord, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { assertEnqueued, assertEnqueuedExactly, assertRan } from '@umbel/testing';
import { testApp } from '@umbel/testing/vitest';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

const app = createApp({ name: 'matchers', connection: 'redis://127.0.0.1:1', queues: ['slow'] });
const mail = app.task({
  name: 'mail',
  input: z.object({
    to: z.string(),
    tags: z.array(z.string()),
    about: z.object({ id: z.number(), kind: z.string() }),
  }),
  run: async ({ to }) => to,
});
const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
const sum = app.task({ name: 'sum', input: z.array(z.number()), run: async (ns) => ns.length });

const letter = { to: 'a@b.c', tags: ['x', 'y'], about: { id: 7, kind: 'offer' } };

/** What a failing claim says. */
function complaint(claim: () => void): string {
  try {
    claim();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the claim held');
}

describe('toHaveEnqueued', () => {
  test('holds for a call with at least the given input', async () => {
    const t = await testApp(app);
    await mail.delay(letter);
    expect(t).toHaveEnqueued(mail);
    expect(t).toHaveEnqueued(mail, { to: 'a@b.c' });
    expect(t).toHaveEnqueued(mail, { about: { kind: 'offer' }, tags: ['x', 'y'] });
    expect(t).toHaveEnqueued(mail, {
      to: expect.stringContaining('@'),
      about: expect.objectContaining({ id: 7 }),
    });
    assertEnqueued(t, mail, { to: 'a@b.c' });
  });

  test.each([
    ['another value', { to: 'x@y.z' }],
    ['another list', { tags: ['x'] }],
    ['another value inside', { about: { kind: 'order' } }],
    ['an asymmetric matcher that does not', { to: expect.stringContaining('!') }],
  ])('does not hold for %s', async (_what, input) => {
    const t = await testApp(app);
    await mail.delay(letter);
    expect(t).not.toHaveEnqueued(mail, input);
    expect(() => assertEnqueued(t, mail, input)).toThrow();
  });

  test('shows what was there instead', async () => {
    const t = await testApp(app);
    await double.applyAsync(1, { countdown: '1m', queue: 'slow', priority: 2 });
    expect(complaint(() => expect(t).toHaveEnqueued(mail, { to: 'x@y.z' }))).toBe(
      [
        `Expected mail { to: 'x@y.z' } to have been enqueued (it was 0×).`,
        'There was:',
        `  double 1 { queue: 'slow', delayMs: 60000, priority: 2 }`,
      ].join('\n'),
    );
    expect(complaint(() => expect(t).not.toHaveEnqueued(double))).toContain(
      'Expected not double to have been enqueued',
    );
  });

  test('counts, and looks at options', async () => {
    const t = await testApp(app);
    await double.applyAsync(1, { countdown: '1m', queue: 'slow' });
    await double.delay(1);
    expect(t).toHaveEnqueued(double, 1, { times: 2 });
    expect(t).not.toHaveEnqueued(double, 1, { times: 1 });
    expect(t).toHaveEnqueued(double, 1, { delay: '1m', times: 1 });
    expect(t).toHaveEnqueued(double, 1, { queue: 'slow', times: 1 });
    expect(t).not.toHaveEnqueued(double, 1, { priority: 3 });
  });
});

describe('toHaveEnqueuedExactly', () => {
  test('holds for these calls in this order and nothing else', async () => {
    const t = await testApp(app);
    await double.delay(1);
    await mail.delay(letter);
    expect(t).toHaveEnqueuedExactly([double, 1], mail);
    expect(t).not.toHaveEnqueuedExactly(mail, double);
    expect(t).not.toHaveEnqueuedExactly([double, 1]);
    expect(t).not.toHaveEnqueuedExactly([double, 2], mail);
    assertEnqueuedExactly(t, [double, mail]);
    expect(() => assertEnqueuedExactly(t, [])).toThrow('exactly these');
  });
});

describe('toHaveRun and toHaveFailed', () => {
  test('tell what ran, how often, and with which error', async () => {
    const t = await testApp(app);
    t.fake(mail, new Error('no such mailbox'));
    await t.run(mail, letter).catch(() => undefined);
    await t.run(double, 1);
    expect(t).toHaveRun(mail, { times: 1 });
    expect(t).not.toHaveRun(sum);
    expect(t).not.toHaveRun(double, { times: 2 });
    assertRan(t, double);
    expect(() => assertRan(t, sum)).toThrow('sum to have run');
    expect(t).toHaveFailed(mail);
    expect(t).toHaveFailed(mail, 'mailbox');
    expect(t).not.toHaveFailed(mail, 'quota');
    expect(t).not.toHaveFailed(double);
    expect(complaint(() => expect(t).toHaveFailed(double))).toContain('double 1 → 2');
  });

  test('do not count attempts whose input was refused', async () => {
    const t = await testApp(app);
    t.fake(double, 'text' as unknown as number);
    await t.run(chain(double, double), 1).catch(() => undefined);
    expect(t).toHaveRun(double, { times: 1 });
  });

  test('do not count steps that were never reached', async () => {
    const t = await testApp(app);
    t.fake(double, new Error('no'));
    await t.run(chain(double, double), 1).catch(() => undefined);
    expect(t).toHaveEnqueued(double, undefined, { times: 2 });
    expect(t).toHaveRun(double, { times: 1 });
  });
});

describe('toMatchCanvas', () => {
  test('holds for the same workflow, however it is written', () => {
    expect(chord([double, double], sum)).toMatchCanvas(chain(group([double, double]), chain(sum)));
    expect(mail.s({ to: 'a', tags: [] })).toMatchCanvas(mail.s({ tags: [], to: 'a' }));
    const many = (last: number) =>
      group([...Array.from({ length: 150 }, (_, n) => double.si(n)), double.si(last)]);
    expect(many(1)).not.toMatchCanvas(many(2));
    expect(chain(double, double.si(3))).not.toMatchCanvas(chain(double, double.si(4)));
    expect(complaint(() => expect(chain(double, double)).toMatchCanvas(double))).toContain(
      'Expected the workflow',
    );
  });
});
