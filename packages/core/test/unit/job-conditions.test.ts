/** From when on a waiting job is late, in virtual time. */
import { chain, sleep } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { testApp } from '@umbel/testing';
import { expect, test } from 'vitest';

test('a step is late from the end of the step before it on, and its reason says so', async () => {
  const app = createApp({ name: 'shop', connection: 'redis://localhost:1' });
  const done = app.task({ name: 'done', queue: 'paused', run: async () => null });
  const flaky = app.task({
    name: 'flaky',
    queue: 'paused',
    retry: { attempts: 3, backoff: 'fixed', delay: '1h', jitter: false },
    run: async (): Promise<null> => {
      throw new Error('no');
    },
  });
  await using t = await testApp(app);
  const retried = await flaky.delay();
  await t.advance('1s');
  await app.queue('paused').pause();
  const run = await chain(sleep('10m'), done.si()).delay();
  const conditions = async () =>
    (await app.jobs.list({ queue: 'paused' })).items.map((job) => [job.task, job.state, job.conditions]);

  await t.advance('10m');
  expect(await conditions()).toEqual([
    ['flaky', 'delayed', ['retrying']],
    ['done', 'waiting', undefined],
  ]);
  await t.advance('6m');
  expect(await conditions()).toEqual([
    ['flaky', 'delayed', ['retrying']],
    ['done', 'waiting', ['late']],
  ]);
  const { items } = await app.jobs.list({ condition: 'late' });
  const reason = await app.jobs.waitReason(items[0]?.id ?? '');
  expect(reason).toMatchObject({ kind: 'paused' });
  expect(reason?.text).toMatch(
    /^It waits because queue "paused" is paused\. It is late: it could start at \d{4}-/,
  );

  // The delay of the retry is over; how long the failed attempt took is not known, so it counts from its start.
  await t.advance('46m');
  expect(await app.jobs.get(retried.id)).toMatchObject({ state: 'waiting', conditions: ['retrying'] });
  await t.advance('6m');
  expect(await app.jobs.get(retried.id)).toMatchObject({ conditions: ['retrying', 'late'] });
  await app.result(run.id).revoke();
});
