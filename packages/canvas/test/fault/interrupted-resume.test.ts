/** W15: resuming that is cut off after any of its commands, and done again, is as good as done once. */
import { chain, fallback, group } from '@umbel/canvas';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { resumeTree } from '../../../core/src/store/resume.js';
import type { JobAccess } from '../../../core/src/store/tree.js';
import { openStore } from '../../../core/test/support/open-store.js';

class CutOff extends Error {}

onEveryEngine('resume', (engine) => {
  test('that was cut off anywhere can be done again', async () => {
    const connection = engine.newConnection();
    const app = engine.app({ connection });
    const broken = { is: true };
    const add = app.task({ name: 'add', input: z.number(), run: async (n) => n + 1 });
    const fragile = app.task({
      name: 'fragile',
      input: z.number(),
      run: async (n) => {
        if (broken.is) throw new Error('broken');
        return n + 100;
      },
    });
    const sum = app.task({
      name: 'sum',
      input: z.array(z.number()),
      run: async (all) => all.reduce((a, b) => a + b, 0),
    });
    const flow = chain(add, group([chain(add, fragile), add, fallback(fragile, fragile.si(5))]), sum);
    await app.worker().start();
    const store = openStore(app.name, connection);
    let cuts = 0;
    for (let commands = 0; ; commands += 1) {
      broken.is = true;
      const run = await flow.delay(0);
      await expect(run.get({ timeout: '50s' })).rejects.toThrow('broken');
      while (await isGoingOn(engine)) await new Promise(setImmediate);
      broken.is = false;
      const wasCut = await cutAfter(commands, store, run.id);
      if (wasCut) {
        cuts += 1;
        await run.resume().catch(() => {}); // it may have ended meanwhile
      }
      expect(await run.get({ timeout: '50s' })).toBe(102 + 2 + 105);
      if (!wasCut) break;
    }
    expect(cuts).toBeGreaterThan(10);
    await store.close();
  });
});

/** Whether members of a run that has failed are still to end; the job of a fallback is one, and no count of the run has it. */
async function isGoingOn(engine: Engine): Promise<boolean> {
  const queues = ['default', 'umbel'].map((name) => engine.bareQueue(name));
  const counts = await Promise.all(queues.map((queue) => queue.getJobCounts(...UNENDED)));
  return counts.some((count) => Object.values(count).some((jobs) => jobs > 0));
}

const UNENDED = ['wait', 'active', 'waiting-children'] as const;

/** Resumes a run with a store that fails after so many commands; true if it did. */
async function cutAfter(commands: number, store: JobAccess, id: string): Promise<boolean> {
  let left = commands;
  const access: JobAccess = {
    endedWaitMs: store.endedWaitMs,
    placeOf: (key) => store.placeOf(key),
    on: (queue, command) => {
      left -= 1;
      if (left < 0) throw new CutOff();
      return store.on(queue, command);
    },
  };
  try {
    await resumeTree(access, { queue: 'umbel', id });
    return false;
  } catch (error) {
    if (!(error instanceof CutOff)) throw error;
    return true;
  }
}
