/** What commands make of jobs whose record is gone, or holds what is no job. */
import { chain } from '@umbel/canvas';
import { Redis } from 'ioredis';
import { expect, inject, test, vi } from 'vitest';
import { project } from '../support/project.js';

const soon = { timeout: '50s' } as const;

test.each([
  ['is gone', undefined, 'its record is gone'],
  ['holds garbage', { name: 'bad', data: '{"not', timestamp: 'x' }, 'its data is not valid JSON'],
])('every command shows a job whose record %s', { timeout: 300_000 }, async (_, fields, problem) => {
  const own = project();
  const app = own.app({ queues: ['default', 'idle'], logger: { info() {}, warn() {}, error() {} } });
  const bad = app.task({
    name: 'bad',
    run: () => {
      throw new Error('no');
    },
  });
  const ok = app.task({ name: 'ok', run: () => 1 });
  const idle = app.task({ name: 'idle', queue: 'idle', run: () => 1 });
  await app.worker({ queues: ['default', 'idle'], handleSignals: false }).start();
  await app.queue('idle').pause();
  const failed = await bad.delay();
  await failed.outcome(soon);
  const waiting = await idle.delay();
  const delayed = await idle.applyAsync(undefined, { countdown: '1h' });
  const run = await chain(ok.s(), idle.si()).delay();
  await vi.waitFor(async () => expect((await app.runs.get(run.id))?.state).toBe('waiting-children'), 10_000);
  const redis = new Redis(inject('redisUrl'));
  for (const [queue, { id }] of [
    ['default', failed],
    ['idle', waiting],
    ['idle', delayed],
    ['umbel', run],
  ] as const) {
    const key = `umbel:{${own.name}}:${queue}:${id}`;
    await redis.del(key);
    if (fields !== undefined) await redis.hset(key, fields);
  }
  await redis.quit();
  const umbel = async (...args: string[]) => {
    const ended = await own.umbel([...args, '--name', own.name]);
    expect(ended, ended.stderr).toMatchObject({ code: 0, stderr: expect.not.stringContaining('failed') });
    return ended.stdout;
  };
  const jobs = await umbel('jobs', 'list');
  for (const { id } of [failed, delayed]) expect(jobs).toMatch(new RegExp(`${id}.*${problem}`));
  for (const { id } of [failed, waiting, delayed])
    expect(await umbel('jobs', 'show', id)).toMatch(new RegExp(`${id}[^]*${problem}`));
  expect(await umbel('runs', 'list')).toMatch(new RegExp(`${run.id}.*${problem}`));
  expect(await umbel('runs', 'show', run.id)).toContain(problem);
  expect(await umbel('dead', 'list')).toContain(failed.id);
  expect(await umbel('dead', 'show', failed.id)).toContain('It can only be discarded');
  expect(await umbel('inspect', 'scheduled')).toContain(delayed.id);
  expect(await umbel('inspect', 'reserved')).toContain(waiting.id);
  for (const command of [['status'], ['top'], ['inspect', 'queues'], ['inspect', 'workers']])
    expect(await umbel(...command)).not.toMatch(/NaN|undefined|Invalid/);
  const events = await own.umbel(['events', '--name', own.name, '--from', 'start', '--limit', '3']);
  expect(events.code).toBe(0);
});
