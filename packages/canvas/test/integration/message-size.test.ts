/** No message grows with the length of the workflow: a job holds what belongs to its own step. */
import { chain, group, map } from '@umbel/canvas';
import type { AsyncResult } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { toolbox } from '../support/toolbox.js';

/** Bytes of the largest message of a run that nobody works on, and of all of them. */
async function bytesOf(
  engine: Engine,
  send: (tasks: ReturnType<typeof toolbox>) => Promise<AsyncResult<unknown>>,
): Promise<{ largest: number; all: number; jobs: number }> {
  const app = engine.app();
  await send(toolbox(app));
  const sizes: number[] = [];
  for (const name of ['default', 'umbel']) {
    const jobs = await engine.bareQueue(name).getJobs(['waiting', 'waiting-children', 'delayed'], 0, -1);
    sizes.push(...jobs.map((job) => JSON.stringify(job.data).length));
  }
  return { largest: Math.max(...sizes), all: sizes.reduce((sum, size) => sum + size, 0), jobs: sizes.length };
}

onEveryEngine('the messages', (engine) => {
  test('of a chain are as long in one of 10 as in one of 1,000 steps', async () => {
    const ofLength = (length: number) =>
      bytesOf(engine, ({ double }) =>
        chain
          .of(Array.from({ length }, () => double))
          .named('doubles') // a name made from the steps has at most 100 characters
          .delay(1),
      );
    const [ten, hundred, thousand] = [await ofLength(10), await ofLength(100), await ofLength(1000)];
    expect(thousand.jobs).toBe(1001);
    // Only the numbers in the paths have more digits.
    expect(hundred.largest - ten.largest).toBeLessThanOrEqual(2);
    expect(thousand.largest - ten.largest).toBeLessThanOrEqual(4);
    expect(thousand.all / thousand.jobs).toBeLessThan((ten.all / ten.jobs) * 1.1);
  });

  test('of groups in a row hold one group each', async () => {
    const inARow = (groups: number) =>
      bytesOf(engine, ({ add, sum, tick }) => {
        const next = map(
          add.into('x', { y: 1 }),
          Array.from({ length: 10 }, (_, n) => n),
        );
        const steps = Array.from({ length: groups }, () => next);
        return chain(tick, ...(steps as [typeof next, typeof next]), sum).delay();
      });
    const [two, five, ten] = [await inARow(2), await inARow(5), await inARow(10)];
    expect(five.largest - two.largest).toBeLessThanOrEqual(40);
    expect(ten.largest - two.largest).toBeLessThanOrEqual(40);
  });

  test('of a long list of members hold a slice of them', async () => {
    const ofMembers = (count: number) =>
      bytesOf(engine, ({ double, echo }) =>
        chain(echo, group(Array.from({ length: count }, (_, n) => double.si(n)))).delay(1),
      );
    const [few, many] = [await ofMembers(200), await ofMembers(2000)];
    expect(many.largest).toBeLessThan(few.largest * 1.2);
  });

  test('of a result of many members do not hold them', async () => {
    const app = engine.app();
    const { double } = toolbox(app);
    const list = app.task({
      name: 'list',
      output: z.array(z.number()),
      run: async () => Array.from({ length: 1000 }, (_, n) => n),
    });
    await app.worker({ concurrency: 50 }).start();
    const run = await chain(list, map(double)).delay();
    expect(await run.get({ timeout: '50s' })).toHaveLength(1000);
    const stored = await engine.bareQueue('umbel').getJob(run.id);
    expect(JSON.stringify(stored?.returnvalue).length).toBeLessThan(200);
  });
});
