import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

onEveryEngine('bull-board', (engine) => {
  test('shows what a job was sent with, what it reports and how it ended', async () => {
    const app = engine.app();
    const task = app.task({
      name: 'task',
      input: z.object({ x: z.number() }),
      retry: { attempts: 2, delay: 1 },
      run: async ({ x }, ctx) => {
        ctx.log.info('begun');
        await ctx.progress(50);
        if (x < 0) throw new Error('below zero');
        return { doubled: x * 2 };
      },
    });
    await app.worker().start();
    const done = await task.applyAsync({ x: 4 }, { headers: { tenant: 'acme' } });
    await done.get(soon);
    const failed = await task.delay({ x: -1 });
    await failed.outcome(soon);

    const board = new BullMQAdapter(engine.bareQueue('default') as never); // its types are of the same BullMQ, elsewhere
    expect(await board.getJobCounts()).toMatchObject({ completed: 1, failed: 1 });
    const [completed] = await board.getJobs(['completed'], 0, 1);
    expect(completed?.toJSON()).toMatchObject({
      id: done.id,
      name: 'task',
      data: { input: { x: 4 }, headers: { tenant: 'acme' } },
      progress: 50,
      returnvalue: { doubled: 8 },
      attemptsMade: 1,
    });
    expect(await board.getJobLogs(done.id)).toEqual([expect.stringContaining('info begun')]);
    const [broken] = await board.getJobs(['failed'], 0, 1);
    expect(broken?.toJSON()).toMatchObject({ id: failed.id, failedReason: 'below zero', attemptsMade: 2 });
  });
});
