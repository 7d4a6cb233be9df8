/** W13: what adds children may do so a second time, however long after. */

import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { INTERNAL_QUEUE, type JobNode } from '../../src/job/job-tree.js';
import { addChildren, addRun } from '../../src/store/add.js';
import { childResultsOf, isHeld, jobStateOf } from '../../src/store/read.js';
import { openStore } from '../support/open-store.js';

onEveryEngine('children that are added again', (engine) => {
  test('do not run again, though their records have expired', async () => {
    const connection = engine.newConnection();
    const app = engine.app({ connection });
    const ran: number[] = [];
    app.task({
      name: 'member',
      input: z.number(),
      run: async (n) => {
        ran.push(n);
        return n;
      },
    });
    const store = openStore(app.name, connection);
    const member = (n: number): JobNode => ({ path: `0.${n}`, name: 'member', queue: 'default', input: n });
    const open: JobNode = { path: '0-open', name: 'held', queue: 'held' };
    const join = { path: '', name: 'umbel:run', queue: INTERNAL_QUEUE, children: [open] };
    await addRun(store, 'run', { ...join, after: { list: '0', count: 2 } });
    const parent = { path: '', queue: INTERNAL_QUEUE };
    await app.worker({ queues: ['default'] }).start();
    await addChildren(store, 'run', parent, [member(0)]);
    while ((await jobStateOf(store, { queue: 'default', id: 'run.0.0' })) !== 'completed')
      await new Promise(setImmediate);
    await engine.bareQueue('default').clean(0, 100, 'completed');
    expect(await isHeld(store, { queue: 'default', id: 'run.0.0' })).toBe(false);

    await addChildren(store, 'run', parent, [member(0), member(1)], { isRepeated: true });
    while ((await jobStateOf(store, { queue: 'default', id: 'run.0.1' })) !== 'completed')
      await new Promise(setImmediate);
    expect(ran).toEqual([0, 1]);
    expect(
      [...(await childResultsOf(store, { queue: INTERNAL_QUEUE, id: 'run' })).keys()].toSorted(),
    ).toEqual(['run.0.0', 'run.0.1']);
    await store.close();
  });
});
