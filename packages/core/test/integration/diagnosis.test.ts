import { InvalidOptionError } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

onEveryEngine('a diagnosis', (engine) => {
  test('names queued jobs whose task is not known any more, or whose input does not fit it any more', async () => {
    const before = engine.app();
    const add = before.task({ name: 'add', input: z.object({ a: z.number() }), run: ({ a }) => a });
    const gone = before.task({ name: 'gone', queue: 'other', run: () => null });
    const [good, bad, removed] = [
      await add.delay({ a: 1 }),
      await add.applyAsync({ a: 2 }, { countdown: '1h' }),
      await gone.delay(),
    ];
    const after = engine.sameApp({ queues: ['other'] });
    after.task({ name: 'add', input: z.object({ a: z.literal(1) }), run: ({ a }) => a });
    const { queued, stuck } = await after.diagnose();
    expect(queued.checked).toBe(3);
    expect(queued.problems).toEqual([
      {
        id: bad.id,
        task: 'add',
        queue: 'default',
        problem: 'invalid-input',
        issues: [{ path: 'input.a', message: expect.any(String) }],
      },
      { id: removed.id, task: 'gone', queue: 'other', problem: 'unknown-task' },
    ]);
    expect(stuck).toEqual({ checked: 0, started: 0, lost: 0, ended: 0 });
    expect(await good.state()).toBe('waiting');
  });

  test('looks at as many jobs of a queue as it is told', async () => {
    const app = engine.app();
    const add = app.task({ name: 'add', run: () => null });
    await add.sendMany([undefined, undefined, undefined]);
    expect((await app.diagnose({ jobs: 2 })).queued.checked).toBe(2);
    expect((await app.diagnose({ jobs: 0 })).queued.checked).toBe(0);
    await expect(app.diagnose({ jobs: -1 })).rejects.toThrow(InvalidOptionError);
  });

  test('names jobs of other programs', async () => {
    const app = engine.app();
    app.task({ name: 'add', run: () => null });
    await engine.bareQueue('default').add('report', { day: 1 });
    expect((await app.diagnose()).queued.problems).toEqual([
      { id: '1', task: 'report', queue: 'default', problem: 'foreign' },
    ]);
  });

  test('tells how a server is set up, and nothing of a store in memory', async () => {
    const { store } = await engine.app().diagnose();
    const settings = {
      redis: { evictionPolicy: 'noeviction', hasAppendOnlyFile: false },
      postgres: { isDurable: false, hasAutovacuum: true }, // as the test run has started them
      pglite: { isDurable: false },
    };
    if (engine.name === 'memory') expect(store).toBeUndefined();
    else
      expect(store).toMatchObject({
        kind: engine.name,
        version: expect.stringMatching(/^\d+\./),
        clockOffsetMs: expect.any(Number),
        isCluster: false,
        ...settings[engine.name],
      });
  });
});
