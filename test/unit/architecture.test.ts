/** The direction of imports, and what may not leak into the public types. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const IMPORT = /(?:from|import)\s*\(?\s*'([^']+)'/g;

const importsOf = (file: string): string[] =>
  [...readFileSync(join(root, file), 'utf8').matchAll(IMPORT)].map((match) => match[1] ?? '');

/** Holds the text of modules that are written into projects. */
const TEMPLATES = 'packages/cli/src/init/templates.ts';

const sources = filesBelow('packages', '.ts').filter(
  (file) => /^packages\/[^/]+\/src\//.test(file) && file !== TEMPLATES,
);

const importersOf = (pattern: RegExp): string[] =>
  sources.filter((file) => importsOf(file).some((name) => pattern.test(name)));

describe('imports', () => {
  test('are found at all', () => {
    expect(sources.length).toBeGreaterThan(40);
    expect(importersOf(/^bullmq$/).length).toBeGreaterThan(4);
  });

  test('of bullmq stand in one folder of core and in the memory store only', () => {
    const others = importersOf(/^(bullmq|ioredis)/).filter(
      (file) =>
        !file.startsWith('packages/core/src/bullmq/') && !file.startsWith('packages/testing/src/memory/'),
    );
    expect(others).toEqual([]);
  });

  test('of bullmq name its public index only', () => {
    expect(importersOf(/^bullmq\//)).toEqual([]);
  });

  test('point one way: core knows no other package, canvas only core, and nothing knows testing', () => {
    const outside = (folder: string, allowed: RegExp) =>
      sources
        .filter((file) => file.startsWith(folder))
        .flatMap((file) =>
          importsOf(file).filter((name) => name.startsWith('@umbel/') && !allowed.test(name)),
        );
    expect(outside('packages/core/', /^$/)).toEqual([]);
    expect(outside('packages/canvas/', /^@umbel\/core(\/internal)?$/)).toEqual([]);
    expect(outside('packages/testing/', /^@umbel\/(core|canvas)/)).toEqual([]);
    // The store in memory is loaded by `umbel dev`, if it is installed; see the next test.
    expect(
      outside('packages/cli/', /^@umbel\/(core|canvas)(\/internal)?$|^@umbel\/testing\/memory$/),
    ).toEqual([]);
  });

  test('of the command line load nothing heavy before a command runs', () => {
    const importsAtOnce = /^(?:import|export) (?!type )[^;]*?from '([^'.][^']*)'/gm;
    const loaded = sources
      .filter((file) => file.startsWith('packages/cli/'))
      .flatMap((file) =>
        [...readFileSync(join(root, file), 'utf8').matchAll(importsAtOnce)].map((match) => match[1] ?? ''),
      );
    const others = loaded.filter((name) => !name.startsWith('node:'));
    expect([...new Set(others)].sort()).toEqual(['commander', 'picocolors']);
  });

  test('have no circle among files', () => {
    const graph = new Map(
      sources.map((file) => [
        file,
        [
          ...readFileSync(join(root, file), 'utf8').matchAll(
            /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)'/gm,
          ),
        ].map((match) => relative(root, join(root, file, '..', (match[1] ?? '').replace(/\.js$/, '.ts')))),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, above: string[]): void => {
      if (above.includes(file)) circles.push([...above.slice(above.indexOf(file)), file].join(' → '));
      else if (!done.has(file)) {
        for (const next of graph.get(file) ?? []) visit(next, [...above, file]);
        done.add(file);
      }
    };
    for (const file of sources) visit(file, []);
    expect(circles).toEqual([]);
  });
});

describe('the time', () => {
  /** The code of a file, without its comments. */
  const codeOf = (file: string) =>
    readFileSync(join(root, file), 'utf8')
      .replaceAll(/\/\*[\s\S]*?\*\//g, '')
      .replaceAll(/(?<=^|\s)\/\/.*$/gm, '');
  const using = (pattern: RegExp) => sources.filter((file) => pattern.test(codeOf(file))).sort();

  test('of the machine is read in few places, each with a reason', () => {
    const allowed = {
      'packages/core/src/clock.ts':
        'the only place of core: the app has it corrected by the time of its store',
      'packages/testing/src/memory/clock.ts':
        'the only place of the store in memory, which relates it to its clock',
      'packages/testing/src/memory/backend-admin.ts': 'the default that BullMQ gives this argument',
      'packages/cli/src/operating/times.ts':
        'the only place of the command line, until an app says what time it is',
      'packages/cli/src/worker/log.ts':
        'when a line was written, beside the lines of other programs of the machine',
    };
    expect(using(/\bDate\.now\b|\bnew Date\(\)/)).toEqual(Object.keys(allowed).sort());
  });

  test('of the machine, rather than of the app, is taken where BullMQ or the machine asks for it', () => {
    const allowed = {
      'packages/core/src/clock.ts': 'defines it',
      'packages/core/src/internal.ts': 'exports it',
      'packages/core/src/runtime.ts': 'the app corrects it',
      'packages/core/src/bullmq/store-time.ts': 'measures it',
      'packages/core/src/bullmq/server-facts.ts': 'measures it',
      'packages/core/src/bullmq/claiming-worker.ts': 'BullMQ compares with it, or takes it off again',
      'packages/core/src/bullmq/guards/limits.ts': 'the worker of BullMQ compares with it',
      'packages/core/src/bullmq/guards/commits.ts': 'as BullMQ tells the end of a job',
      'packages/core/src/bullmq/guards/unreadable-jobs.ts': 'as BullMQ tells the end of a job',
      'packages/core/src/bullmq/job-json.ts': 'as BullMQ stamps a job; the guard of the store puts it right',
      'packages/core/src/running/isolated/run-isolated.ts': 'tells a child process how far it is ahead',
      'packages/core/src/running/isolated/child-run.ts': 'the child has it corrected by that',
      'packages/testing/src/index.ts': 'exports that of the store in memory',
      'packages/testing/src/memory/clock.ts': 'its own, of the same name',
      'packages/testing/src/memory/index.ts': 'its own, of the same name',
    };
    expect(using(/\bsystemClock\b/)).toEqual(Object.keys(allowed).sort());
  });
});

describe('public types', () => {
  const declarations = [
    ...filesBelow('packages/core/dist', '.d.ts').filter((file) => !file.includes('/bullmq/')),
    ...filesBelow('packages/canvas/dist', '.d.ts'),
    'packages/testing/dist/index.d.ts',
    'packages/testing/dist/memory/index.d.ts',
  ];

  test('hold no any', () => {
    expect(declarations.length).toBeGreaterThan(20);
    const withoutComments = (file: string) =>
      readFileSync(join(root, file), 'utf8')
        .replaceAll(/\/\*[\s\S]*?\*\//g, '')
        .replaceAll(/'[^'\n]*'/g, '');
    const asType = /\bany\b(?!<)/; // and not the function `group.any<…>`
    expect(declarations.filter((file) => asType.test(withoutComments(file)))).toEqual([]);
  });
});
