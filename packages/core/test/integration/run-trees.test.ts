/** Jobs of a run that are read many levels at a time. */
import { chain, group } from '@umbel/canvas';
import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { type Engine, onEveryEngine } from '../../../../test/engines.js';
import { RunReader } from '../../src/client/run/run-reader.js';
import { INTERNAL_QUEUE } from '../../src/job/job-tree.js';
import { RunTreeReader } from '../../src/store/run-tree.js';
import { type Part, partsOf } from '../../src/workflow/graph-parts.js';
import { openStore } from '../support/open-store.js';
import { onRedis, onSql } from '../support/planting.js';

const soon = { timeout: '50s' } as const;

onEveryEngine(
  'a run',
  (engine) => {
    function opened() {
      const app = engine.app();
      const echo = app.task({ name: 'echo', input: z.any(), run: (value: unknown) => value });
      const store = openStore(app.name, engine.newConnection());
      onTestFinished(() => store.close());
      return { app, echo, store, reads: vi.spyOn(store, 'on') };
    }

    test('of many levels is read with a command for a hundred jobs', async () => {
      const { app, echo, store, reads } = opened();
      await app.worker().start();
      const run = await chain.of(Array.from({ length: 150 }, () => echo)).delay(1);
      await run.get(soon);
      const root = await new RunReader(store).read({ queue: INTERNAL_QUEUE, id: run.id });
      expect(tasksOf(root)).toEqual(Array.from({ length: 150 }, () => 'completed'));
      expect(reads.mock.calls.length).toBeLessThanOrEqual(3);
    });

    test('is read in all its states, those of jobs that wait in a list too', async () => {
      const { echo, store } = opened();
      const run = await chain(group([echo.si(1), echo.si(2).set({ countdown: '1h' })]), echo, echo).delay();
      const root = await new RunReader(store).read({ queue: INTERNAL_QUEUE, id: run.id });
      expect(tasksOf(root).sort()).toEqual(['delayed', 'waiting', 'waiting-children', 'waiting-children']);
    });

    test('may have long inputs, and jobs with more children than one command lists', async () => {
      const { app, echo, store } = opened();
      await app.worker().start();
      const run = await chain(echo.si('x'.repeat(300_000)), echo.si(1), echo).delay();
      expect(await run.get(soon)).toBe(1);
      const root = { queue: INTERNAL_QUEUE, id: run.id };
      expect(tasksOf(await new RunReader(store).read(root))).toEqual(['completed', 'completed', 'completed']);
      const others = Array.from({ length: 120 }, (_, n) => `umbel:{${app.name}}:default:other-${n}`);
      await plantEndedChildren(engine, `umbel:{${app.name}}:${root.queue}`, root.id, others);
      const read = await new RunTreeReader(store).read(root);
      expect(await read?.children()).toHaveLength(121);
    });

    test('is read ahead once: a job is read anew the next time', async () => {
      const { app, echo, store, reads } = opened();
      const run = await chain(echo, echo).delay(1);
      const reader = new RunTreeReader(store);
      const root = await reader.read({ queue: INTERNAL_QUEUE, id: run.id });
      const [last] = (await root?.children()) ?? [];
      if (last === undefined) throw new Error('no step');
      await app.worker().start();
      await run.get(soon);
      const before = reads.mock.calls.length;
      const ahead = await reader.read(last);
      expect(ahead?.state).toBe('waiting-children');
      expect(await ahead?.children()).toMatchObject([{ kind: 'unprocessed' }]);
      expect(reads.mock.calls.length).toBe(before);
      const now = await reader.read(last);
      expect(now?.state).toBe('completed');
      expect(await now?.children()).toMatchObject([{ kind: 'processed' }]);
    });
  },
  ['redis', 'postgres', 'pglite'],
); // the memory store has no such command: a job of it costs nothing to read

/** Adds ended children to the record of a job, which the store does not hold. */
async function plantEndedChildren(
  engine: Engine,
  queue: string,
  id: string,
  keys: readonly string[],
): Promise<void> {
  if (!engine.isSql) {
    await onRedis((redis) =>
      redis.hset(
        `${queue}:${id}:processed`,
        keys.flatMap((key) => [key, '1']),
      ),
    );
    return;
  }
  await onSql(engine, (query) =>
    query(
      `INSERT INTO job_dependency (parent_queue, parent_id, child_queue, child_id, child_key, status, value)
        SELECT $1, $2, '', '', unnest($3::text[]), 'processed', '1'`,
      [queue, id, keys],
    ),
  );
}

/** The states of the tasks of a part and of the parts before it. */
function tasksOf(part: Part | undefined): string[] {
  const states: string[] = [];
  const parts = part === undefined ? [] : [part];
  for (let next = parts.pop(); next !== undefined; next = parts.pop()) {
    if (next.node !== undefined) states.push(next.node.state);
    parts.push(...partsOf(next));
  }
  return states;
}
