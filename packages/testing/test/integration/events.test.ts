/** Events and queries of an app under test, in virtual time. */
import { createApp } from '@umbel/core';
import { testApp } from '@umbel/testing';
import { expect, test } from 'vitest';

test('tell what has happened in virtual time, and find it', async () => {
  const app = createApp({ name: 'virtual', logger: { info() {}, warn() {}, error() {} } });
  const task = app.task({
    name: 'task',
    retry: { attempts: 2, delay: '12h', backoff: 'fixed', jitter: false },
    run: async (_, { attempt }) => {
      if (attempt === 1) throw new Error('not yet');
      return null;
    },
  });
  const t = await testApp(app);
  try {
    const events = app.events();
    const result = await task.delay();
    await result.get();
    const all = [];
    for await (const event of events) {
      all.push(event);
      if (event.type === 'completed') break;
    }
    expect(all.map(({ type }) => type)).toEqual(['enqueued', 'started', 'retried', 'started', 'completed']);
    expect(all[2]).toMatchObject({ delayMs: 43_200_000, attempt: 1 });
    expect((all.at(-1)?.at.getTime() ?? 0) - (all[0]?.at.getTime() ?? 0)).toBe(43_200_000);
    expect((await app.jobs.list({ state: 'completed' })).items).toMatchObject([
      { id: result.id, attempts: 2 },
    ]);
  } finally {
    await t.close();
  }
});
