/** Nothing that stands in the store is ever loaded or run: it only names what the worker has already. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type AsyncResult, RemoteError, TaskFailedError } from '@umbel/core';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';
import type { ErrorRecord } from '../../src/base/errors.js';
import { rebuildError } from '../../src/codec/error-record.js';
import { plantFailure } from '../support/planting.js';
import { codeOf, sourceFiles } from '../support/sources.js';

const soon = { timeout: '50s' } as const;
const isolate = new URL('../integration/isolated/tasks.mjs', import.meta.url);

/** A module that leaves a file behind if anything loads it. */
function trap(): { path: string; url: string; hasSprung: () => boolean } {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-trap-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'trap.mjs');
  const mark = join(folder, 'loaded');
  writeFileSync(
    path,
    `import { writeFileSync } from 'node:fs';\nwriteFileSync(${JSON.stringify(mark)}, '');\nexport default () => 1;\n`,
  );
  return { path, url: pathToFileURL(path).href, hasSprung: () => existsSync(mark) };
}

/** Every field in which a program could look for what to load or to run, with a module in it. */
const loadingFields = ({ path, url }: { path: string; url: string }) => ({
  isolate: url,
  module: url,
  processor: path,
  processFile: path,
  handler: path,
  run: `import(${JSON.stringify(url)})`,
  require: path,
  file: path,
  code: `require(${JSON.stringify(path)})`,
});

async function causeOf(result: AsyncResult<unknown>): Promise<Error> {
  const error = await result.get(soon).catch((reason: unknown) => reason);
  if (!(error instanceof TaskFailedError)) throw new Error(`it did not fail: ${error}`);
  return error.cause;
}

onEveryEngine('a planted job', (engine) => {
  test('named like a part of JavaScript, a path or a module loads nothing and runs nothing', async () => {
    const { path, url, hasSprung } = trap();
    const app = engine.app();
    const handler = vi.fn(async () => 1);
    const good = app.task({ name: 'good', run: handler });
    const names = [
      ...['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', 'then'],
      ...['../../x', path, url, `${path}#default`, 'node:child_process', 'eval', 'Function', 'process.exit'],
      ...['$' + '{7*7}', '%', 'default', '*', '', ' ', '\0', 'good\0', 'Good', 'good '],
    ];
    const fields = loadingFields({ path, url });
    for (const queue of ['default', 'umbel']) {
      const bare = engine.bareQueue(queue);
      for (const [index, name] of names.entries())
        await bare.add(name, { umbel: 1, ...fields, input: fields }, { jobId: `planted-${index}` });
    }
    await app.worker().start();
    for (const [index, name] of names.entries()) {
      // Both queues hold one of this id; the handle finds that of the default queue.
      const cause = await causeOf(app.result(`planted-${index}`));
      expect({ name, message: cause.message }).toEqual({
        name,
        // One without a name is none that Umbel has added.
        message: expect.stringContaining(name === '' ? 'cannot be run' : 'has no handler in this worker'),
      });
    }
    const internal = engine.bareQueue('umbel');
    await vi.waitFor(async () => expect(await internal.getJobCountByTypes('failed')).toBe(names.length));
    expect(await (await good.delay()).get(soon)).toBe(1);
    expect(handler).toHaveBeenCalledTimes(1);
    expect(hasSprung()).toBe(false);
  });

  test('with modules in its data and its options runs the handler of the worker', async () => {
    const { path, url, hasSprung } = trap();
    const app = engine.app();
    app.task({ name: 'good', run: async () => 'the handler of the worker' });
    const fields = loadingFields({ path, url });
    const options = {
      ...fields,
      backoff: { ...fields, type: 'constructor', delay: 1 },
      repeat: undefined,
      telemetry: { metadata: path },
      parent: undefined,
      attempts: 1,
    };
    const data = { umbel: 1, ...fields, headers: fields, label: path, key: path, digest: path };
    await engine.bareQueue('default').add('good', data, { jobId: 'planted', ...options } as object);
    await app.worker().start();
    expect(await app.result('planted').get(soon)).toBe('the handler of the worker');
    expect(hasSprung()).toBe(false);
  });

  test('of a scheduler with the fields of another program makes jobs, and loads nothing', async () => {
    const { path, url, hasSprung } = trap();
    const app = engine.app();
    const ran = new Promise<string>((resolve) => {
      app.task({ name: 'good', run: async (_input, { id }) => resolve(id) });
    });
    const fields = loadingFields({ path, url });
    const bare = engine.bareQueue('default');
    await bare.upsertJobScheduler(
      'planted',
      { every: 60_000 },
      { name: 'good', data: { umbel: 1, ...fields } },
    );
    await app.worker().start();
    expect(await ran).toContain('planted');
    await bare.removeJobScheduler('planted');
    expect(hasSprung()).toBe(false);
  });

  test('for an isolated task runs in the module that the worker names, and not in one from the store', async () => {
    const { path, url, hasSprung } = trap();
    const app = engine.app({ name: 'isolated' });
    app.task({ name: 'pid', isolate, run: async (): Promise<number> => -1 });
    const fields = loadingFields({ path, url });
    const bare = engine.bareQueue('default');
    await bare.add('pid', { umbel: 1, ...fields }, { jobId: 'planted', ...fields } as object);
    await bare.add(url, { umbel: 1, ...fields }, { jobId: 'by-url' });
    await app.worker().start();
    const pid = await app.result('planted').get(soon);
    expect(pid).toBeGreaterThan(0);
    expect(pid).not.toBe(process.pid);
    expect((await causeOf(app.result('by-url'))).name).toBe('UnknownTaskError');
    expect(hasSprung()).toBe(false);
  });

  test('that failed with the name of a class brings no class of that name', async () => {
    const app = engine.app();
    const fail = app.task({
      name: 'fail',
      run: async () => {
        throw new Error('its own');
      },
    });
    await app.worker().start();
    const { path, url, hasSprung } = trap();
    const result = await fail.delay();
    await causeOf(result);
    const bare = engine.bareQueue('default');
    for (const name of ['Function', 'Promise', 'AggregateError', 'CorruptJobError', path, url, '__proto__']) {
      const error = {
        name,
        message: 'm',
        code: url,
        cause: { name, message: 'inner', ...loadingFields({ path, url }) },
      };
      await plantFailure(bare, result.id, error);
      const cause = await causeOf(result);
      expect(cause.constructor).toBe(RemoteError);
      expect((cause.cause as Error).constructor).toBe(RemoteError);
    }
    expect(hasSprung()).toBe(false);
  });
});

/** JavaScript's own errors, which a stored name may bring. Those of ours are told by their code, too. */
const REBUILT = new Set([
  ...['Error', 'TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'URIError', 'EvalError'],
]);

describe('a stored error', () => {
  test('with the name of anything global, or of a member of an object, is rebuilt from a list of names', () => {
    const names = new Set([
      ...Object.getOwnPropertyNames(globalThis),
      ...Object.getOwnPropertyNames(Object.prototype),
      ...Object.getOwnPropertyNames(Map.prototype),
      ...['../../x', 'file:///x.mjs', 'ValidationError', 'RevokedError', 'CorruptJobError', ''],
    ]);
    expect(names.size).toBeGreaterThan(80);
    for (const name of names) {
      const record: ErrorRecord = { name, message: 'planted', code: 'constructor' };
      const made = rebuildError(record).constructor.name;
      expect({ name, made }).toEqual({ name, made: REBUILT.has(name) ? name : 'RemoteError' });
    }
  });
});

/** What can load or run a text, and where it stands for a reason. */
const LOADING: [what: string, pattern: RegExp, explained: readonly string[]][] = [
  ['eval', /\beval\s*\(/, []],
  ['functions made of text', /\bnew Function\b|(?<![.\w])Function\s*\(/, []],
  ['the vm module', /['"](?:node:)?vm['"]/, []],
  // Optional peers, by names that stand in the code, once a program uses what needs them; and the modules that the
  // command line is given as arguments.
  [
    'require',
    /\bcreateRequire\b|\brequire\s*\(/,
    [
      'packages/cli/src/modules.ts',
      'packages/core/src/base/modules.ts',
      'packages/core/src/opentelemetry/tracing.ts',
      'packages/core/src/prometheus/metrics.ts',
      'packages/core/src/store/engine/pglite/pglite-package.ts',
      'packages/core/src/store/engine/postgres/pg-driver.ts',
      'packages/core/src/store/engine/redis/client.ts',
    ],
  ],
  ['bindings of Node', /\bprocess\s*\.\s*(?:binding|dlopen)\b/, []],
  // The child of an isolated task imports the module that the worker has given it as an argument.
  [
    'an import of what is no literal',
    /\bimport\s*\(\s*(?!['"])/,
    ['packages/cli/src/modules.ts', 'packages/core/src/worker/isolate/child.ts'],
  ],
  // The worker forks a file beside its own, or the program that has made it; `umbel init` runs npm.
  [
    'processes',
    /['"](?:node:)?child_process['"]/,
    [
      'packages/cli/src/commands/init.ts',
      'packages/core/src/worker/isolate/pool.ts',
      'packages/core/src/worker/supervisor/child-process.ts',
    ],
  ],
  [
    'threads',
    /['"](?:node:)?worker_threads['"]/,
    // The child starts a file beside its own, which watches whether the worker lives; a worker of several processes asks
    // whether it is in a thread.
    [
      'packages/core/src/worker/isolate/child.ts',
      'packages/core/src/worker/isolate/parent-watch.ts',
      'packages/core/src/worker/supervisor/plan.ts',
    ],
  ],
];

describe('the sources', () => {
  test.each(LOADING)('hold %s in explained places only', (_what, pattern, explained) => {
    expect(sourceFiles.length).toBeGreaterThan(100);
    expect(sourceFiles.filter((file) => pattern.test(codeOf(file)))).toEqual(explained);
  });
});
