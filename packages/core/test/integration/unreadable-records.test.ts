/** Jobs whose record is gone from the store, or holds what is no job, as operators see them. */
import { chain } from '@umbel/canvas';
import type { App } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { onRedis } from '../support/planting.js';

const soon = { timeout: '50s' } as const;
const GONE = 'its record is gone';

/** An app whose jobs fail, complete and wait, and what spoils the record of one. */
async function shop(engine: Engine) {
  const app = engine.app({ queues: ['default', 'idle'] });
  const bad = app.task({
    name: 'bad',
    run: () => {
      throw new Error('no');
    },
  });
  const ok = app.task({ name: 'ok', run: () => 1 });
  const idle = app.task({ name: 'idle', queue: 'idle', run: () => 1 });
  await app.worker({ queues: ['default'] }).start();
  const failed = [await bad.delay(), await bad.delay(), await bad.delay()];
  for (const each of failed) await each.outcome(soon);
  const completed = await ok.delay();
  await completed.get(soon);
  const waiting = await idle.delay();
  const delayed = await idle.applyAsync(undefined, { countdown: '1h' });
  const run = await chain(ok.s(), idle.si()).delay();
  await vi.waitFor(async () => expect((await app.runs.get(run.id))?.state).toBe('waiting-children'));
  const key = (queue: string, id: string) => `umbel:{${app.name}}:${queue}:${id}`;
  return { app, failed, completed, waiting, delayed, run, key };
}

/** The ids of all jobs, page by page. */
async function oneByOne(app: App): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await app.jobs.list({ limit: 1, ...(cursor !== undefined && { cursor }) });
    ids.push(...page.items.map(({ id }) => id));
    expect(ids.length).toBeLessThan(50);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return ids;
}

onEveryEngine('records that cannot be read', (engine) => {
  test('of other programs are listed', async () => {
    const app = engine.app({ queues: ['default'] });
    await engine.bareQueue('default').add('theirs', 'no envelope', { jobId: 'theirs' });
    expect((await app.jobs.list()).items).toMatchObject([{ id: 'theirs', task: 'theirs', state: 'waiting' }]);
    expect(await app.jobs.get('theirs')).toMatchObject({ id: 'theirs', state: 'waiting' });
  });

  test('are not told of what was removed', async () => {
    const { app, failed, waiting } = await shop(engine);
    await failed[0]?.forget();
    expect(await app.jobs.get(failed[0]?.id ?? '')).toBeUndefined();
    const { items } = await app.jobs.list();
    expect(items.filter(({ problem }) => problem !== undefined)).toEqual([]);
    expect(items.map(({ id }) => id)).toContain(waiting.id);
  });
});

onEveryEngine('spoilt records', (engine) => {
  const onServer = test.runIf(engine.name === 'redis');

  onServer('are listed with what is known where they are gone', async () => {
    const { app, failed, completed, waiting, delayed, run, key } = await shop(engine);
    const lost = failed[1]?.id ?? '';
    const keys = [
      key('default', lost),
      key('default', completed.id),
      key('idle', waiting.id),
      key('idle', delayed.id),
      key('umbel', run.id),
    ];
    await onRedis((redis) => redis.del(keys));
    const { items } = await app.jobs.list();
    const known = (id: string) => items.find((item) => item.id === id);
    expect(known(lost)).toMatchObject({ queue: 'default', task: 'unknown', state: 'failed', problem: GONE });
    expect(known(completed.id)).toMatchObject({ queue: 'default', state: 'completed', problem: GONE });
    expect(known(waiting.id)).toMatchObject({ queue: 'idle', state: 'waiting', problem: GONE });
    expect(known(delayed.id)).toMatchObject({ queue: 'idle', state: 'delayed', problem: GONE });
    expect(await oneByOne(app)).toEqual(items.map(({ id }) => id));
    expect((await app.jobs.list({ task: 'bad' })).items).toHaveLength(2);
    expect(await app.jobs.get(lost)).toMatchObject({ id: lost, state: 'failed', problem: GONE });

    expect((await app.runs.list()).items).toMatchObject([
      { id: run.id, state: 'waiting-children', problem: GONE },
    ]);
    expect(await app.runs.get(run.id)).toMatchObject({ id: run.id, problem: GONE });

    const letters = await app.deadLetters.list();
    expect(letters.map(({ id }) => id).toSorted()).toEqual(failed.map(({ id }) => id).toSorted());
    expect(letters.find(({ id }) => id === lost)).toMatchObject({
      task: 'unknown',
      error: { name: 'CorruptJobError', message: `It cannot be read: ${GONE}.` },
    });
    expect(await app.deadLetters.get(lost)).toMatchObject({ canReplay: false, logs: [] });
    await expect(app.deadLetters.replay(lost)).rejects.toThrow(GONE);
    const queues = await app.inspect.queues();
    for (const { oldestWaitingMs } of queues) expect(oldestWaitingMs).not.toBeNaN();
    expect(await app.inspect.scheduled()).toMatchObject([{ id: delayed.id, problem: GONE }]);
    expect((await app.inspect.reserved()).find(({ id }) => id === waiting.id)).toMatchObject({
      problem: GONE,
    });
    await app.deadLetters.discard(lost);
    expect((await app.deadLetters.list()).map(({ id }) => id)).not.toContain(lost);
  });

  onServer.each([
    ['part of it', { failedReason: 'evicted' }, 'it has no name'],
    ['no JSON as data', { name: 'bad', timestamp: '5', data: '{"not' }, 'its data is not valid JSON'],
    ['no JSON as options', { name: 'bad', timestamp: '5', opts: '{"not' }, 'its record is not valid JSON'],
    ['times that are none', { name: 'bad', timestamp: 'x', processedOn: '9e99', finishedOn: 'z' }, undefined],
    ['another type', 'text', 'its record is of another type'],
  ])('are listed with what is known where there is %s', async (_, fields, problem) => {
    const { app, failed, waiting, delayed, key } = await shop(engine);
    const lost = failed[1]?.id ?? '';
    await onRedis(async (redis) => {
      for (const each of [key('default', lost), key('idle', waiting.id), key('idle', delayed.id)]) {
        await redis.del(each);
        if (typeof fields === 'string') await redis.set(each, fields);
        else await redis.hset(each, fields);
      }
    });
    const { items } = await app.jobs.list();
    for (const id of [lost, waiting.id, delayed.id]) {
      const listed = items.find((item) => item.id === id);
      expect(listed).toMatchObject({ task: expect.any(String), ...(problem && { problem }) });
      expect(listed?.enqueuedAt.getTime()).not.toBeNaN();
      const job = await app.jobs.get(id);
      for (const date of [job?.enqueuedAt, job?.startedAt, job?.finishedAt])
        if (date !== undefined) expect(date.getTime()).not.toBeNaN();
      expect(job).toMatchObject({ id });
    }
    expect(await oneByOne(app)).toEqual(items.map(({ id }) => id));
    expect((await app.deadLetters.list()).map(({ id }) => id)).toContain(lost);
    expect(await app.deadLetters.get(lost)).toMatchObject({ id: lost });
    for (const { enqueuedAt } of [...(await app.inspect.scheduled()), ...(await app.inspect.reserved())])
      expect(enqueuedAt.getTime()).not.toBeNaN();
    for (const { oldestWaitingMs } of await app.inspect.queues()) expect(oldestWaitingMs).not.toBeNaN();
    expect((await app.diagnose()).queued.checked).toBeGreaterThanOrEqual(0);
  });
});
