/** What is sound compiles: results as fresh copies, factories over schemas, options that may be undefined. */
import { chain, chunks, group, map } from '@umbel/canvas';
import type {
  AsyncResult,
  Decoded,
  InputOf,
  InputSchema,
  Json,
  OutputOf,
  Schema,
  SendOptions,
  Task,
  TaskOptions,
  WorkerOptions,
} from '@umbel/core';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { add, app, double, fetchPage, measure, resize, sum } from '../../../canvas/test/support/tasks.js';

test('readonly lists in a result, at any depth, fit an input that may change its own', () => {
  interface Page {
    readonly rows: readonly { readonly tags: readonly string[] }[];
    readonly at: readonly [number, number];
    readonly next?: string | undefined;
  }
  const read = app.task({
    name: 'read',
    run: async (): Promise<Page> => ({ rows: [{ tags: ['a'] }], at: [1, 2] }),
  });
  const write = app.task({
    name: 'write',
    input: z.object({
      rows: z.array(z.object({ tags: z.array(z.string()) })),
      at: z.tuple([z.number(), z.number()]),
    }),
    run: async () => 1,
  });
  chain(read, write);
  read.pipe(write);
  chain(group([read, read]), map(write));
  expectTypeOf<OutputOf<typeof read>['rows'][number]['tags']>().toEqualTypeOf<string[]>();
  const listed = app.task({ name: 'listed', run: async () => [[1], [2]] as const });
  chain(listed, map(sum));
  const declared = app.task({
    name: 'declared',
    output: z.object({ ids: z.array(z.number()).readonly() }),
    run: async () => ({ ids: [1] }),
  });
  chain(
    declared,
    app.task({ name: 'ids', input: z.object({ ids: z.array(z.number()) }), run: async () => 1 }),
  );
});

test('a result without readonly lists keeps its type, with its name', () => {
  interface Node {
    value: number;
    next?: Node;
    others: Node[];
  }
  const node = app.task({ name: 'node', run: async (): Promise<Node> => ({ value: 1, others: [] }) });
  expectTypeOf<OutputOf<typeof node>>().toEqualTypeOf<Node>();
  interface Branch {
    readonly below: readonly Branch[];
  }
  const branch = app.task({ name: 'branch', run: async (): Promise<Branch> => ({ below: [] }) });
  interface Own {
    below: Own[];
  }
  const takes = app.task({ name: 'takes', input: z.custom<Own>(), run: async () => 1 });
  chain(branch, takes);
  const free = app.task({
    name: 'free',
    run: async (): Promise<{ data: Json; more: unknown }> => ({ data: 1, more: 1 }),
  });
  expectTypeOf<OutputOf<typeof free>>().toEqualTypeOf<{ data: Json; more: unknown }>();
});

/** Makes tasks of any schema: `InputSchema` leaves the check whether JSON can carry it to whoever calls. */
function importer<const Name extends string, Row extends Schema>(
  name: Name,
  input: InputSchema<Row>,
  save: (row: Decoded<Row>) => Promise<void>,
) {
  return app.task({
    name,
    input,
    run: async (row) => {
      await save(row);
      return { saved: 1 };
    },
  });
}

test('a function can make tasks of any schema', () => {
  const people = importer(
    'people',
    z.object({ name: z.string(), age: z.number().default(1) }),
    async (row) => {
      expectTypeOf(row).toEqualTypeOf<{ name: string; age: number }>();
    },
  );
  expectTypeOf<InputOf<typeof people>>().toEqualTypeOf<{ name: string; age?: number | undefined }>();
  expectTypeOf<OutputOf<typeof people>>().toEqualTypeOf<{ saved: number }>();
  const plain: Task<'plain', { id: number }, { saved: number }> = importer(
    'plain',
    z.object({ id: z.number() }),
    async () => {},
  );
  void plain.delay({ id: 1 });
  // @ts-expect-error id is missing
  void plain.delay({});
  chain(
    fetchPage,
    importer('pages', z.object({ path: z.string() }), async () => {}),
  );
  // @ts-expect-error input.at is a Date
  importer('dates', z.object({ at: z.date() }), async () => {});
});

test('an option that is undefined is an absent one', () => {
  function maybe(queue: string | undefined, signal: AbortSignal | undefined) {
    const options: SendOptions = {
      queue,
      priority: undefined,
      retry: { attempts: undefined, delay: undefined },
      unique: { for: undefined, key: queue },
      link: undefined,
      tags: undefined,
      idempotencyKey: queue,
    };
    const ofTask: TaskOptions = { queue, retry: undefined, timeout: undefined };
    const ofWorker: WorkerOptions = { concurrency: undefined };
    void add.applyAsync({ x: 1, y: 2 }, { queue, ...options });
    add.set({ queue, headers: undefined });
    void app.worker(ofWorker);
    void app.result('a').get({ signal, timeout: undefined });
    void app.events({ signal });
    return ofTask;
  }
  void maybe;
});

test('the handle of a composition is typed by it', () => {
  const pages = chain(fetchPage, resize.s({ width: 1 }), measure);
  expectTypeOf(app.result(pages, 'id')).toEqualTypeOf<AsyncResult<{ width: number; height: number }>>();
  expectTypeOf(app.result(group({ a: double, b: double }), 'id')).toEqualTypeOf<
    AsyncResult<{ a: number; b: number }>
  >();
  expectTypeOf(app.result(add.s({ x: 1 }), 'id')).toEqualTypeOf<AsyncResult<number>>();
  expectTypeOf(app.result(add, 'id')).toEqualTypeOf<AsyncResult<number>>();
  expectTypeOf(app.result('id')).toEqualTypeOf<AsyncResult<unknown>>();
});

test('chunks take calls of one task, and no composition', () => {
  chunks(double, 2);
  chunks(add.s({ x: 1 }), 2);
  chunks(app.signature('other'), 2);
  // @ts-expect-error a chain is no call of one task
  chunks(chain(double, double), 2);
  // @ts-expect-error nor is a piped one
  chunks(double.pipe(double), [1], 2);
  // @ts-expect-error nor a group
  chunks(group([double, double]), 2);
  // @ts-expect-error nor a map
  chunks(map(double), 2);
  const named = app.task({ name: 'chain', input: z.number(), run: async (n) => n });
  chunks(named, 2);
});
