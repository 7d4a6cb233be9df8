/** Repair looks at every parent that waits, page by page, whoever else has jobs among them (W25). */
import type { App } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';
import { encodeEnvelope } from '../../src/job/envelope.js';
import { type Below, jobJson, linkOf } from '../../src/store/add.js';

const HOUR_MS = 3_600_000;
/** More than two pages. */
const PARENTS = 250;

onEveryEngine('repair', (engine) => {
  /** Parents of a queue that wait for nothing, since an hour ago; some of them are of another program. */
  async function stuck(
    app: App,
    foreign: (index: number) => boolean,
    waits: (index: number) => boolean = () => false,
  ): Promise<number> {
    const backend = engine.bareQueue('default').getBackend();
    let own = 0;
    for (let index = 0; index < PARENTS; index += 1) {
      const data = foreign(index) ? { theirs: index } : encodeEnvelope({ input: index });
      own += foreign(index) || waits(index) ? 0 : 1;
      const id = `parent-${index}`;
      const json = { ...jobJson(id, 'task', data, {}), timestamp: Date.now() - HOUR_MS + index };
      // As a flow: the store of PostgreSQL ignores that a single job waits.
      const entry = { jobData: json, jobId: id, parentKeyOpts: linkOf(undefined, true) };
      await backend.addFlow([{ ...entry, queueName: 'default', prefix: `umbel:{${app.name}}` }]);
      if (!waits(index)) continue;
      const below: Below = {
        parent: { id, queue: backend.qualifiedName },
        onFailure: 'continueParentOnFailure',
      };
      const child = jobJson(`${id}.0`, 'task', data, { delay: HOUR_MS }, below);
      await backend.addJob(child, `${id}.0`, linkOf(below));
    }
    expect(await app.queue('default').counts()).toMatchObject({ 'waiting-children': PARENTS });
    return own;
  }

  test.each<[string, (index: number) => boolean]>([
    ['one in the first page', (index) => index === 3],
    ['a whole page', (index) => index < 100],
    ['every other one', (index) => index % 2 === 0],
    ['the last ones', (index) => index >= 200],
  ])('looks behind parents of another program: %s', async (_, foreign) => {
    const app = engine.app();
    app.task({ name: 'task', run: () => null });
    const own = await stuck(app, foreign);
    const all = { checked: own, started: own, lost: 0, ended: 0 };
    expect((await app.diagnose()).stuck).toEqual(all);
    expect(await app.repair()).toEqual(all);
  });

  test('of a worker comes to the pages behind them as well', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: () => null });
    const own = await stuck(
      app,
      (index) => index === 0,
      (index) => index > 0 && index < 120,
    );
    const worker = await app.worker({ repairInterval: '1s' }).start();
    await vi.waitFor(() => expect(worker.repairs.started).toBe(own), { timeout: 25_000, interval: 50 });
    expect(await app.queue('default').counts()).toMatchObject({ 'waiting-children': 120 });
  });

  test('looks at all, while those that it has started go on', async () => {
    const app = engine.app();
    app.task({ name: 'task', run: () => null });
    const own = await stuck(app, () => false);
    await app.worker({ repairInterval: false, concurrency: 50 }).start();
    expect(await app.repair()).toMatchObject({ started: own });
    await vi.waitFor(
      async () => expect(await app.queue('default').counts()).toMatchObject({ 'waiting-children': 0 }),
      { timeout: 20_000, interval: 50 },
    );
  });
});
