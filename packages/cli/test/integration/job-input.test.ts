/** What operators see of the input of a job: all that its handler gets, with what is sensitive masked. */
import { expect, test } from 'vitest';
import { documents, project } from '../support/project.js';

const TASKS = (name: string) => `import { createApp } from '@umbel/core';
import { chain } from '@umbel/canvas';
import { z } from 'zod';
export const app = createApp({ name: '${name}', sensitive: ['token'] });
export const quote = app.task({
  name: 'quote',
  input: z.object({ amount: z.number() }),
  run: async ({ amount }) => ({ price: 2 * amount, token: 't0ken-of-quote' }),
});
export const charge = app.task({
  name: 'charge',
  queue: 'slow',
  sensitive: ['card'],
  retry: { attempts: 3, delay: '1ms' },
  input: z.object({ quote: z.unknown(), card: z.string() }),
  run: async (_, ctx) => {
    if (ctx.attempt === 1) throw new RangeError('not yet');
    return new Promise<{ id: number }>(() => {});
  },
});
export const receipt = app.task({
  name: 'receipt',
  input: z.object({ id: z.number(), to: z.string() }),
  run: async () => null,
});
export const refuse = app.task({
  name: 'refuse',
  sensitive: ['card'],
  input: z.object({ price: z.number(), token: z.string(), card: z.string() }),
  run: async (): Promise<null> => {
    throw new RangeError('refused');
  },
});
export const flow = chain(
  quote.s({ amount: 5 }),
  charge.into('quote', { card: '4111-2222-3333' }),
  receipt.s({ to: 'a@b.c' }),
);
export const refused = chain(quote.s({ amount: 5 }), refuse.s({ card: '4111-2222-3333' }));
`;

const SECRETS = /4111-2222-3333|t0ken-of-quote/;
const NOT_MASKED = 'Sensitive values are not masked';

/** A project whose worker runs in another process, and what commands print there. */
async function paying() {
  const own = project();
  own.write('pay.ts', TASKS(own.name));
  const worker = own.start(['worker', '-A', './pay.ts', '-n', 'w1', '--shutdown-timeout', '1s']);
  await worker.prints('ready');
  const app = own.app({ queues: ['default', 'slow'], logger: { info() {}, warn() {}, error() {} } });
  /** The id of the job of a task, once it has come so far. */
  const jobOf = (task: string, state: 'active' | 'waiting-children', attempts: number) =>
    expect
      .poll(
        async () => {
          const { items } = await app.jobs.list({ task, state });
          return items.find((job) => job.attempts === attempts)?.id;
        },
        { timeout: 20_000 },
      )
      .toEqual(expect.any(String))
      .then(async () => (await app.jobs.list({ task, state })).items[0]?.id ?? '');
  const withCode = (...args: string[]) => own.umbel([...args, '-A', './pay.ts']);
  const named = (...args: string[]) => own.umbel([...args, '--name', own.name]);
  return { ...own, app, jobOf, withCode, named };
}

test('jobs show tells the whole input of a running step, masked by the settings of its task', {
  timeout: 300_000,
}, async () => {
  const { umbel, jobOf, withCode, named } = await paying();
  expect((await umbel(['run', './pay.ts#flow'])).code).toBe(0);
  const id = await jobOf('charge', 'active', 1);

  const text = await withCode('jobs', 'show', id);
  expect(text.stdout).toMatch(/worker +w1/);
  expect(text.stdout).toMatch(/attempts +1, attempt 2 is running/);
  expect(text.stdout).toMatch(/attempt failed +RangeError: not yet/);
  expect(text.stdout).toMatch(/\ninput +\{[^}]*"quote": \{\s+"price": 10,\s+"token": "\*\*\*"\s+\}/);
  expect(text.stdout).toContain('"card": "***"');
  expect(text.stdout).not.toMatch(SECRETS);
  expect(text.stderr).not.toContain(NOT_MASKED);

  const json = await withCode('jobs', 'show', id, '--json');
  expect(documents(json.stdout)).toMatchObject([
    { job: { input: { card: '***', quote: { price: 10, token: '***' } }, attempt: 2, worker: 'w1' } },
  ]);

  const whole = { card: '4111-2222-3333', quote: { price: 10, token: 't0ken-of-quote' } };
  const unmasked = await withCode('jobs', 'show', id, '--json', '--unmasked');
  expect(documents(unmasked.stdout)).toMatchObject([{ job: { input: whole } }]);
  const bare = await named('jobs', 'show', id, '--json');
  expect(documents(bare.stdout)).toMatchObject([{ job: { input: whole } }]);
  expect(bare.stderr.split('\n').filter((line) => line.includes(NOT_MASKED))).toHaveLength(1);
  expect((await named('jobs', 'show', id, '--unmasked')).stderr).not.toContain(NOT_MASKED);
});

test('jobs show tells of a step that waits what is known, and the jobs that it waits for', {
  timeout: 300_000,
}, async () => {
  const { umbel, jobOf, withCode } = await paying();
  expect((await umbel(['run', './pay.ts#flow'])).code).toBe(0);
  const running = await jobOf('charge', 'active', 1);
  const waiting = await jobOf('receipt', 'waiting-children', 0);
  const { stdout } = await withCode('jobs', 'show', waiting);
  expect(stdout).toMatch(/\npart of input +\{\s+"to": "a@b.c"\s+\}/);
  expect(stdout).toMatch(new RegExp(`\\nwaits for +${running}\\n`));
  const json = await withCode('jobs', 'show', waiting, '--json');
  expect(documents(json.stdout)).toMatchObject([{ job: { input: { to: 'a@b.c' }, waitsFor: [running] } }]);
});

test('dead letters show the whole input of a step, masked', { timeout: 300_000 }, async () => {
  const { umbel, app, withCode, named } = await paying();
  expect((await umbel(['run', './pay.ts#refused'])).code).toBe(0);
  const letters = () => app.deadLetters.list({ task: 'refuse' });
  await expect.poll(letters, { timeout: 20_000 }).toHaveLength(1);
  const id = (await letters())[0]?.id ?? '';
  const masked = { price: 10, token: '***', card: '***' };
  const shown = await withCode('dead', 'show', id, '--json');
  expect(documents(shown.stdout)).toMatchObject([{ letter: { id, input: masked } }]);
  const text = await withCode('dead', 'show', id);
  expect(text.stdout).toContain('"price": 10');
  expect(text.stdout).not.toMatch(SECRETS);
  const list = await withCode('dead', 'list', '--json');
  expect(documents(list.stdout)).toMatchObject([{ letters: [{ id, input: { card: '***' } }] }]);
  const bare = await named('dead', 'show', id, '--json');
  expect(bare.stdout).toMatch(SECRETS);
  expect(bare.stderr).toContain(NOT_MASKED);
});
