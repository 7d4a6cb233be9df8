/** The commands that the backend of PostgreSQL sends one after the other, and those that it sends at once. */
import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { SqlBackend } from '../../src/store/engine/postgres/backend.js';
import { SharedConnection } from '../../src/store/engine/postgres/connection.js';
import type { SqlDatabase } from '../../src/store/engine/postgres/database.js';

/** A backend on a database whose statements are answered by hand. */
function opened() {
  const sent: { readonly params: readonly unknown[]; readonly answer: (rows: object[]) => void }[] = [];
  const database = Object.assign(new EventEmitter(), {
    schema: 'umbel',
    sharesStatements: false,
    barrier: undefined,
    retain() {},
    ready: async () => {},
    query: (_text: string, params: readonly unknown[] = []) =>
      new Promise((resolve) => {
        sent.push({ params, answer: (rows) => resolve({ rows, rowCount: rows.length }) });
      }),
  }) as unknown as SqlDatabase;
  const backend = new SqlBackend(new SharedConnection(database), 'q', 'p', {} as never, true);
  return { backend, sent, settled: () => new Promise(setImmediate) };
}

test('reads of a job are sent in their order, each after the answer to the one before', async () => {
  const { backend, sent, settled } = opened();
  const state = backend.getState('a');
  const job = backend.getJobData('a');
  const children = backend.getDependencies('a', { processed: { cursor: 0, count: 10 } });
  void backend.getJobData('b');
  await settled();
  expect(sent.map(({ params }) => params[1])).toEqual(['a', 'b']);
  sent[0]?.answer([{ state: 'active', priority: 0 }]);
  expect(await state).toBe('active');
  await settled();
  expect(sent).toHaveLength(3);
  sent[2]?.answer([]);
  expect(await job).toBeUndefined();
  await settled();
  expect(sent).toHaveLength(4);
  sent[3]?.answer([]);
  expect(await children).toMatchObject({ processed: {} });
});
