/** Tasks of a run that end while it is read. */
import { expect, test } from 'vitest';
import { EndingTasks } from '../../src/client/run/ending.js';
import type { ChildKinds, TreeJob } from '../../src/store/primitives/run-trees.js';
import type { Store } from '../../src/store/store.js';

const none: ChildKinds = { unprocessed: [], processed: [], ignored: [] };

test('a job that ends after it was read ahead is read again, with the children that were added since', async () => {
  // The root waits for two jobs, `one` and `two`, which wait for `slow` and `quick`.
  const waiting: Record<string, string[]> = {
    root: ['one', 'two'],
    one: ['slow'],
    two: ['quick'],
    slow: [],
    quick: [],
  };
  const ended: Record<string, string[]> = { root: [], one: [], two: [], slow: [], quick: [] };
  const row = (id: string): TreeJob => ({
    key: id,
    state: 'waiting-children',
    fields: undefined,
    children: { ...none, unprocessed: waiting[id] ?? [] },
  });
  const backend = {
    readRunTree: async (id: string) => {
      const rows = (id === 'root' ? Object.keys(waiting) : [id]).map(row);
      if (id !== 'root') return rows;
      // Right after that, `quick` gets a child that ends, and then ends itself.
      waiting.two = [];
      ended.two = ['quick'];
      ended.quick = ['added'];
      return rows;
    },
    getDependencyCounts: async (id: string) => [waiting[id]?.length, ended[id]?.length, 0],
    getDependencies: async (id: string, kinds: object) =>
      'unprocessed' in kinds
        ? { unprocessed: waiting[id] ?? [], nextUnprocessedCursor: 0 }
        : 'processed' in kinds
          ? {
              processed: Object.fromEntries((ended[id] ?? []).map((child) => [child, 1])),
              nextProcessedCursor: 0,
            }
          : { ignored: {}, nextIgnoredCursor: 0 },
    isFinished: async () => [1, '1'],
  };
  const queue = {
    getBackend: () => backend,
    getJobState: async () => 'unknown',
    getJob: async (id: string) => ({
      id,
      name: id,
      data: { umbel: 1 },
      attemptsMade: 1,
      timestamp: 0,
      opts: {},
    }),
  };
  const store = {
    on: async (_: string, command: (queue: object) => unknown) => command(queue),
    placeOf: (key: string) => ({ queue: 'default', id: key }),
    sealer: { decode: async (value: unknown) => value },
  } as unknown as Store;
  const tasks = await new EndingTasks(store, { queue: 'default', id: 'root' }).fresh(false);
  expect(tasks.map(({ id }) => id)).toEqual(['added', 'quick']);
});
