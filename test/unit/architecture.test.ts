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
