/** What each schema library does as the input of a task. The tables of docs/schemas.md say the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chain } from '@umbel/canvas';
import { type App, createApp, type Schema, ValidationError } from '@umbel/core';
import { memory } from '@umbel/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonSchemaOf } from '../../packages/core/src/codec/json-schema.js';
import { fieldsOf } from '../../packages/dashboard/page/src/parts/schema-fields.js';
import { LIBRARIES } from '../support/schema-libraries/all.js';
import type { Library } from '../support/schema-libraries/library.js';
import { root } from '../support/snippets.js';

const byName = LIBRARIES.map((library) => [library.name, library] as const);
const WAIT = { timeout: '60s' } as const;

let app: App;
let count = 0;
beforeAll(async () => {
  app = createApp({ name: 'schemas', connection: memory(), logger: { info() {}, warn() {}, error() {} } });
  await app.worker({ queues: ['default'] }).start();
});
afterAll(() => app.close());

/** A task with this input; its handler returns what `run` makes of what it received. */
function taskOf(input: Schema, run: (received: unknown) => unknown = (received) => received) {
  count += 1;
  return app.task({ name: `task-${count}`, input, run: async (received) => run(received) as never });
}

/** What the handler receives of an input that is sent, as JSON. */
async function received(input: Schema, sent: unknown): Promise<unknown> {
  return (await taskOf(input).delay(sent)).get(WAIT);
}

/** The issues with which sending is refused. */
async function issuesOf(input: Schema, sent: unknown): Promise<readonly { path: string; message: string }[]> {
  const error = await taskOf(input)
    .delay(sent)
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  if (error === undefined) return [];
  if (error instanceof ValidationError) return error.issues;
  throw error;
}

const isRefused = async (input: Schema, sent: unknown) => (await issuesOf(input, sent)).length > 0;

/** What happens to a key that the schema does not name. */
async function otherKeys(input: Schema): Promise<'dropped' | 'kept' | 'refused'> {
  if (await isRefused(input, { a: 1, extra: 2 })) return 'refused';
  const result = await received(input, { a: 1, extra: 2 });
  expect(result).toMatchObject({ a: 1 });
  return 'extra' in (result as object) ? 'kept' : 'dropped';
}

const stepWithMore = (gives: unknown) => {
  count += 1;
  return app.task({ name: `step-${count}`, run: async () => gives as never });
};

/** The message of the issues with which a step fails after a step that returns this. */
async function messageOfStep(input: Schema, given: unknown): Promise<string> {
  const workflow = await chain(stepWithMore(given), taskOf(input) as never).delay();
  const failure: unknown = await workflow.get(WAIT).then(String, (error: Error) => error.cause);
  if (!(failure instanceof ValidationError)) throw failure;
  return failure.message;
}

describe.each(byName)('%s', (_, library) => {
  test('prints the path of an issue as JavaScript does', async () => {
    const [issue, ...others] = await issuesOf(library.nested, { l: [{ b: 1 }, { b: 'x' }] });
    expect(others).toEqual([]);
    expect(issue?.path).toBe('input.l[1].b');
    expect((await issuesOf(library.record, { 0: 'x' }))[0]?.path).toBe('input.0');
  });

  test('decodes: text is sent and stored, the handler receives a Date', async () => {
    const task = taskOf(library.codec, (value) => {
      const { at } = value as { at: Date };
      return [at instanceof Date, at.getUTCFullYear()];
    });
    const result = await task.delay({ at: '2030-01-01T00:00:00.000Z' });
    expect(await result.get(WAIT)).toEqual([true, 2030]);
    expect((await app.jobs.get(result.id))?.input).toEqual({ at: '2030-01-01T00:00:00.000Z' });
  });

  test('takes other keys as its schema says', async () => {
    const { byDefault: _default, stripped, kept, refused } = library.keys;
    const of = async (schema: Schema | undefined) => schema && otherKeys(schema);
    expect(await of(stripped)).toBe('dropped');
    expect(await of(kept)).toBe('kept');
    expect(await of(refused)).toBe('refused');
  });

  test('a strict object after a step that returns more keys names them and the ways out', async () => {
    const { keys, refusedBelow } = library;
    if (keys.refused === undefined || refusedBelow === undefined) throw new Error('not written');
    const advice = /the previous step returns .*; use a schema that ignores other keys .*or pass on only/;
    const flat = await messageOfStep(keys.refused, { a: 1, extra: 2, more: 3 });
    expect(flat).toMatch(advice);
    expect(flat).toContain('returns "extra", "more", which');
    const below = await messageOfStep(refusedBelow, { o: { a: 1, extra: 2 } });
    expect(below).toMatch(advice);
    expect(below).toContain('returns "o.extra", which');
    const both = await messageOfStep(keys.refused, { a: 'x', extra: 2 });
    expect(both).not.toContain('previous step'); // without the key it would be invalid, too
  });

  test('takes a fixed default', async () => {
    expect(await received(library.fixedDefault, {})).toEqual({ size: 1 });
    expect(await received(library.fixedDefault, { size: 2 })).toEqual({ size: 2 });
  });

  test('computes a default once: every attempt receives it, and a repeated call is the same', async () => {
    let ids = 0;
    const seen: unknown[] = [];
    count += 1;
    const task = app.task({
      name: `flaky-${count}`,
      input: library.computedDefault(() => `id-${++ids}`),
      retry: { attempts: 3, delay: 0 },
      run: async (value) => {
        seen.push(value);
        if (seen.length % 3 !== 0) throw new Error('again');
        return 1;
      },
    });
    const sent = await task.delay({});
    await sent.get(WAIT);
    expect(new Set(seen.map((value) => JSON.stringify(value))).size).toBe(1);
    expect((await app.jobs.get(sent.id))?.input).toEqual(seen[0]);

    seen.length = 0;
    const step = await chain(stepWithMore({}), task as never).delay();
    await step.get(WAIT);
    expect(seen).toHaveLength(3);
    expect(new Set(seen.map((value) => (value as { id: string }).id)).size).toBe(1);

    seen.length = 0;
    const first = await task.applyAsync({}, { idempotencyKey: `key-${count}` });
    await first.get(WAIT);
    expect((await task.applyAsync({}, { idempotencyKey: `key-${count}` })).id).toBe(first.id);
  });

  test('takes unions, also discriminated ones, records and recursive types', async () => {
    for (const v of ['x', 1]) expect(await received(library.union, { v })).toEqual({ v });
    expect(await isRefused(library.union, { v: [true] })).toBe(true);
    for (const call of [
      { kind: 'mail', to: 'a' },
      { kind: 'sms', phone: 1 },
    ])
      expect(await received(library.tagged, call)).toEqual(call);
    expect(await isRefused(library.tagged, { kind: 'mail', phone: 1 })).toBe(true);
    expect(await received(library.record, { x: 1, y: 2 })).toEqual({ x: 1, y: 2 });
    expect(await isRefused(library.record, { x: 'y' })).toBe(true);
    const leaf = { value: 1, children: [] };
    expect(await received(library.recursive, { value: 2, children: [leaf] })).toMatchObject({
      children: [leaf],
    });
    const [issue] = await issuesOf(library.recursive, {
      value: 2,
      children: [leaf, { value: 'x', children: [] }],
    });
    expect(issue?.path).toBe('input.children[1].value');
  });

  test('checks asynchronously, if it can', async () => {
    if (library.asynchronous === undefined) return;
    expect(await received(library.asynchronous, { name: 'free' })).toEqual({ name: 'free' });
    expect((await issuesOf(library.asynchronous, { name: 'taken' }))[0]?.path).toMatch(/^input(\.name)?$/);
  });
});

describe('docs/schemas.md', () => {
  const page = readFileSync(join(root, 'docs/schemas.md'), 'utf8');

  test('has what was observed in its tables', async () => {
    const tables = await Promise.all([ofDefinitions(), ofKeys(), ofValues(), ofJsonSchemas()]);
    for (const table of tables) expect(tablesOf(page)).toContainEqual(table);
  });

  test('has the adapter of TypeBox that was tested', () => {
    const adapter = readFileSync(join(root, 'test/support/schema-libraries/typebox-adapter.ts'), 'utf8');
    expect(page).toContain(adapter.trim());
  });
});

type Table = readonly (readonly string[])[];

/** The cells of all tables of a page, without the line below the head. */
function tablesOf(page: string): Table[] {
  const blocks = page.match(/(?:^\|.*\n)+/gm) ?? [];
  return blocks.map((block) => {
    const rows = block.trim().split('\n');
    const cells = rows.map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
    return cells.filter((_, index) => index !== 1);
  });
}

const versionOf = ({ package: name }: Library) =>
  name === undefined
    ? '–'
    : (
        JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as {
          version: string;
        }
      ).version;

async function tableOf(
  head: readonly string[],
  cellsOf: (library: Library) => Promise<readonly string[]>,
): Promise<Table> {
  const rows = await Promise.all(
    LIBRARIES.map(async (library) => [library.name, ...(await cellsOf(library))]),
  );
  return [head, ...rows];
}

function ofDefinitions(): Promise<Table> {
  const head = [
    'library',
    'version',
    '`input` takes',
    'checks',
    'asynchronous rules',
    'issues',
    'path in the issue',
  ];
  return tableOf(head, async (library) => {
    const outcome = library.nested['~standard'].validate({ l: [{ b: 1 }, { b: 'x' }] });
    const { issues = [] } = await outcome;
    const path = issues[0]?.path?.map((part) => (typeof part === 'object' ? part.key : part));
    const several = await library.nested['~standard'].validate({ l: [{ b: 'x' }, { b: 'x' }] });
    return [
      versionOf(library),
      library.ways.input,
      outcome instanceof Promise ? 'later' : 'at once',
      wayOf(library.ways.asynchronous, library.asynchronous),
      several.issues?.length === 2 ? 'all' : 'the first',
      `\`${JSON.stringify(path)}\``,
    ];
  });
}

/** How to write a schema, if there is one. */
function wayOf(way: string | undefined, schema: Schema | undefined): string {
  expect(way === undefined).toBe(schema === undefined);
  return way ?? '–';
}

function ofKeys(): Promise<Table> {
  return tableOf(['library', 'a plain object', 'drop', 'keep', 'refuse'], async ({ keys, ways }) => [
    `${await otherKeys(keys.byDefault)}`,
    wayOf(ways.stripped, keys.stripped),
    wayOf(ways.kept, keys.kept),
    wayOf(ways.refused, keys.refused),
  ]);
}

function ofValues(): Promise<Table> {
  return tableOf(
    [
      'library',
      '`undefined` for an object with defaults',
      '`"5"` for a number',
      'readonly list in the handler',
      'brands',
    ],
    async (library) => {
      const isAbsent = !(await isRefused(library.fixedDefault, undefined));
      const isNumber = !(await isRefused(library.number, { n: '5' }));
      return [
        isAbsent
          ? `accepted, as \`${JSON.stringify(await received(library.fixedDefault, undefined))}\``
          : 'refused',
        isNumber
          ? `becomes \`${JSON.stringify(((await received(library.number, { n: '5' })) as { n: unknown }).n)}\``
          : 'refused',
        library.readonly === undefined
          ? 'no'
          : await taskOf(library.readonly, (value) =>
              Object.isFrozen((value as { list: unknown }).list) ? 'frozen' : 'type only',
            )
              .delay({ list: ['a'] })
              .then((result) => result.get(WAIT) as Promise<string>),
        library.branded === undefined ? 'no' : 'yes',
      ];
    },
  );
}

function ofJsonSchemas(): Promise<Table> {
  const head = ['library', 'JSON Schema from', 'optional key', 'key with a default', 'decoded key', 'form'];
  return tableOf(head, async ({ described, ways }) => {
    const from = wayOf(ways.jsonSchema, described);
    const schema = described === undefined ? null : jsonSchemaOf(described, 'input');
    if (schema === null) return [from, '–', '–', '–', 'JSON'];
    const { properties, required } = schema as {
      properties: Record<string, { type?: string }>;
      required: string[];
    };
    const stateOf = (key: string) => (required.includes(key) ? 'required' : 'optional');
    const fields = fieldsOf(schema) ?? [];
    expect(stateOf('text')).toBe('required');
    const kinds = fields.map(({ name, kind }) => `${name}: ${kind}`).sort();
    return [from, stateOf('note'), stateOf('size'), properties.at?.type ?? 'anything', kinds.join(', ')];
  });
}
