/** What the log of a worker shows of jobs, and that its ids are those which commands take. */
import { expect, test } from 'vitest';
import { project } from '../support/project.js';

const TASKS = (name: string) => `import { createApp } from '@umbel/core';
import { z } from 'zod';
export const app = createApp({ name: '${name}', sensitive: ['token'] });
export const talk = app.task({
  name: 'talk',
  retry: { attempts: 3, delay: '1ms' },
  input: z.object({ token: z.string() }),
  run: async ({ token }, ctx) => {
    ctx.log.debug('quiet word');
    ctx.log.warn('the token is ' + token, { n: ctx.attempt });
    if (ctx.attempt === 1) throw new RangeError('not yet');
    return { said: token, n: ctx.attempt };
  },
});
export const stays = app.task({
  name: 'stays',
  retry: { attempts: 3, delay: '1ms' },
  run: async (_, ctx) => {
    if (ctx.attempt === 1) throw new RangeError('not yet');
    return new Promise<number>(() => {});
  },
});
`;

test('the log shows lines and results of handlers, masked, with ids to paste', {
  timeout: 300_000,
}, async () => {
  const own = project();
  own.write('talk.ts', TASKS(own.name));
  const app = own.app({ logger: { info() {}, warn() {}, error() {} } });
  const worker = own.start([
    'worker',
    '-A',
    './talk.ts',
    '-n',
    'w1',
    '--results',
    '--shutdown-timeout',
    '1s',
  ]);
  await worker.prints('ready');
  const { id } = await app.send('talk', { token: 'hush-hush-12345' });
  await worker.prints(/result .*n":2/);
  const lines = worker.stdout().split('\n');
  expect(lines.find((line) => line.includes('the token is *** {"n":1}'))).toMatch(/warn .*talk/);
  expect(lines.find((line) => line.includes('result '))).toContain('"said":"***"');
  expect(worker.stdout()).not.toContain('hush-hush');
  expect(worker.stdout()).not.toContain('quiet word');
  for (const line of lines.filter((each) => each.includes('talk'))) expect(line).toContain(id);
  const shown = await own.umbel(['jobs', 'show', id, '--name', own.name]);
  expect(shown.stdout).toContain('RangeError: not yet');
  const events = await own.umbel([
    'events',
    '--name',
    own.name,
    '--from',
    'start',
    '--id',
    id,
    '--limit',
    '2',
  ]);
  expect(events.stdout).toContain(id);

  const running = await app.send('stays', undefined);
  await worker.prints(new RegExp(`retried .*${running.id}`));
  await expect.poll(async () => (await app.jobs.get(running.id))?.attempt, { timeout: 20_000 }).toBe(2);
  const active = await own.umbel(['jobs', 'show', running.id, '--name', own.name]);
  expect(active.stdout).toMatch(/attempts +1, attempt 2 is running/);
  expect(active.stdout).toMatch(/worker +w1/);
  expect(active.stdout).toMatch(/attempt failed +RangeError: not yet/);
});
