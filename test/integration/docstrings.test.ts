/** The examples in docstrings compile, with the names that every reader has: the packages' exports and an app's tasks. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entries } from '../../docs/.vitepress/api-reference.js';
import { exportsOf as declaredExports } from '../../docs/.vitepress/declarations.js';
import { root, Snippets } from '../support/snippets.js';

/** The packages whose docstrings have examples, with their import names. */
const PACKAGES: readonly (readonly [name: string, exports: readonly string[]])[] = [
  ['@umbel/core', exportsOf('packages/core/src/index.ts')],
  ['@umbel/core/opentelemetry', exportsOf('packages/core/src/opentelemetry/index.ts')],
  ['@umbel/core/prometheus', exportsOf('packages/core/src/prometheus/index.ts')],
  ['@umbel/canvas', exportsOf('packages/canvas/src/index.ts')],
  ['@umbel/testing', exportsOf('packages/testing/src/index.ts')],
  ['@electric-sql/pglite', ['PGlite']],
  ['pg', ['Pool']],
  ['@opentelemetry/api', ['context']],
  ['vitest', ['expect']],
  ['zod', ['z']],
];

/** Values that examples use without a declaration, in the module that they call `./tasks.js`. */
const TASKS = `
import type { Span } from '@opentelemetry/api';
import type {
  App, AppWorker, AsyncResult, ForeignJob, Logger, PgliteInstance, Signal, Task, TaskContext,
} from '@umbel/core';
import type { MetricJson, Metrics } from '@umbel/core/prometheus';
import type { TestApp } from '@umbel/testing';

export declare const app: App;
export declare const worker: AppWorker;
export declare const result: AsyncResult<{ file: string }>;
export declare const run: AsyncResult<{ file: string }[]>;
export declare const metrics: Metrics;
export declare const fromOtherProcess: readonly MetricJson[];
export declare const span: Span & { attributes: Record<string, unknown> };
export declare const client: { query(text: string, values?: unknown[]): Promise<{ rows: object[] }> };
export declare const db: PgliteInstance;
export declare const error: Error & { cause?: unknown };
export declare const ctx: TaskContext<{
  reports: { progress: unknown; states: never; failures: { declined: { reason: string } } };
}>;
export declare function pino(): Logger;
export declare function startWebServer(): void;

export declare const resize: Task<'image.resize', { path: string; width: number }, { file: string }>;
export declare const split: Task<'image.split', { path: string }, { file: string }>;
export declare const upload: Task<'file.upload', { file: string }, null>;
export declare const add: Task<'add', { x: number; y: number }, number>;
export declare const charge: Task<'charge', { id: string }, number>;
export declare const sendMail: Task<'mail.send', { to: string }, null>;
export declare const sendAlert: Task<'alert.send', { text: string }, null>;
export declare const reindex: Task<'shop.reindex', { shop: number }, null>;
export declare const report: Task<'report', void, null>;
export declare const save: Task<'page.save', { page: { id: string } }, null>;
export declare const visit: Task<'page.visit', { url: string; at: number }, null>;

export declare const double: Task<'double', number, number>;
export declare const isLarge: Task<'isLarge', number, boolean>;
export declare const reserve: Task<'order.reserve', { id: string }, { id: string }>;
export declare const ship: Task<'order.ship', { id: string; payment: { receipt: string } }, null>;
export declare const approved: Signal<'expense.approved', { by: string; ok: boolean }>;
export declare const paid: Signal<'order.paid', { receipt: string }>;
export declare const t: TestApp;

export declare const card: { isExpired: boolean };
export declare const file: { isLarge: boolean; path: string };
export declare const links: { href: string }[];
export declare const mail: { to: string };
export declare const log: { error(message: string): void };
export declare const order: { id: string };
export declare const page: { id: string };
export declare const paths: string[];
export declare const processors: Record<string, (job: ForeignJob) => Promise<unknown>>;
export declare const response: { status: number };
export declare const text: string;
export declare const user: { id: string };
`;

const given = [...TASKS.matchAll(/^export declare (?:const|function) (\w+)/gm)].map(([, name = '']) => name);
const files = new Map([['tasks.ts', TASKS]]);
for (const name of ['core', 'canvas', 'testing']) {
  const folder = `packages/${name}/src`;
  for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).sort()) {
    if (!path.endsWith('.ts')) continue;
    const examples = examplesIn(readFileSync(join(root, folder, path), 'utf8'));
    if (examples.length > 0) files.set(`${name}-${path.replaceAll(/[\\/]/g, '-')}`, moduleOf(examples));
  }
}
const snippets = new Snippets('docstrings', files);

beforeAll(() => snippets.write());
afterAll(() => snippets.remove());

test('the examples of docstrings compile', () => {
  expect(files.size).toBeGreaterThan(10);
  expect(snippets.compile()).toBe('');
});

test.each(Object.entries(entries))('every export of %s has a docstring', (_, { file }) => {
  const exported = declaredExports(join(root, file));
  expect(exported.length).toBeGreaterThan(0);
  const undocumented = exported.filter(({ declarations }) =>
    declarations.every(({ doc }) => doc === undefined),
  );
  expect(undocumented.map(({ name }) => name)).toEqual([]);
});

test('every public construct has an example', () => {
  expect(INDEXES.flatMap(withoutExample)).toEqual([]);
});

const INDEXES = [
  'core/src/index.ts',
  'core/src/opentelemetry/index.ts',
  'core/src/prometheus/index.ts',
  'canvas/src/index.ts',
  'testing/src/index.ts',
  'dashboard/src/index.ts',
  'dashboard/src/node.ts',
];

/** Exported functions, constructs and interfaces with methods that have no example. Errors are in docs/mistakes.md. */
function withoutExample(index: string): string[] {
  const [name = ''] = index.split('/');
  const sources = readdirSync(join(root, 'packages', name, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(root, 'packages', name, 'src', path), 'utf8'));
  const declared = declarationsIn(sources.join('\n'));
  const own = declarationsIn(readFileSync(join(root, 'packages', index), 'utf8'));
  const exported = [...exportsOf(`packages/${index}`), ...own.keys()].map((each) =>
    each.replace('type ', ''),
  );
  return exported.filter((each) => {
    const texts = declared.get(each) ?? [];
    const isCalled = texts.some((text) =>
      /^export (?:async )?(?:function|const)|^ {2}\w+(?:<.*>)?\(/m.test(text),
    );
    // The type of a construct that is a constant has the examples.
    const type = declared.get(`${each.charAt(0).toUpperCase()}${each.slice(1)}Function`) ?? [];
    return isCalled && ![...texts, ...type].some((text) => text.includes('@example'));
  });
}

/** The declarations of functions, constants and interfaces by name, each with its docstring. */
function declarationsIn(source: string): Map<string, string[]> {
  const declared = new Map<string, string[]>();
  for (const { index, 1: name = '' } of source.matchAll(
    /^export (?:async )?(?:function|const|interface) (\w+)/gm,
  )) {
    const start = source.startsWith('*/', index - 3) ? source.lastIndexOf('/**', index) : index;
    const ends = ['\n}', ';\n'].map((end) => source.indexOf(end, index)).filter((end) => end >= 0);
    // An interface has semicolons within, a constant or an overload may end with one.
    const end = source.startsWith('export interface', index)
      ? source.indexOf('\n}', index)
      : Math.min(...ends);
    declared.set(name, [...(declared.get(name) ?? []), source.slice(start, end + 2)]);
  }
  return declared;
}

/** The code after each `@example`, up to the next tag or the end of its comment. */
function examplesIn(source: string): string[] {
  const comments = source.matchAll(/\/\*\*([\s\S]*?)\*\//g);
  return Array.from(comments).flatMap(([, comment = '']) => {
    const text = comment.replaceAll(/^ *\* ?/gm, '');
    return [...text.matchAll(/^ ?@example\b(?:\s*\n)?([\s\S]*?)(?=^@\w|(?![\s\S]))/gm)].map(([, code = '']) =>
      code.replaceAll(/^```.*$/gm, '').trim(),
    );
  });
}

/** A module with each example as a function, which may declare names that others have. */
function moduleOf(examples: readonly string[]): string {
  const code = examples.join('\n');
  const isUsed = (name: string) => new RegExp(`\\b${name}\\b`).test(code);
  const imports = PACKAGES.map(([name, exports]) => {
    const names = exports.filter((each) => isUsed(each.replace('type ', '')));
    return `import { ${names.join(', ')} } from '${name}';`;
  });
  const functions = examples.map(
    (example, index) => `export async function example${index}(): Promise<any> {\n${example}\n}`,
  );
  const tasks = `import { ${given.filter(isUsed).join(', ')} } from './tasks.js';`;
  return [...imports, tasks, ...functions, ''].join('\n');
}

/** The names that a package exports, with `type ` before those of types. */
function exportsOf(index: string): string[] {
  const lists = readFileSync(join(root, index), 'utf8').matchAll(/^export (type )?\{([^}]*)\}/gm);
  return Array.from(lists).flatMap(([, type = '', names = '']) =>
    names
      .split(',')
      .map((name) => name.trim().replace(/^.* as /, ''))
      .filter((name) => name !== '')
      .map((name) => (name.startsWith('type ') ? name : `${type}${name}`)),
  );
}
