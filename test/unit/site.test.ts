/** What the site is made with: links, copied pages, declarations. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { exportsOf } from '../../docs/.vitepress/declarations.js';
import { moved } from '../../docs/.vitepress/generated.js';
import { siteLink } from '../../docs/.vitepress/links.js';
import { slug } from '../../docs/.vitepress/slug.js';

describe('a link of a page', () => {
  test.each([
    ['tasks.md#errors', '/tasks.md#errors'],
    ['../SECURITY.md#limits', '/generated/security-policy.md#limits'],
    ['../README.md#define-tasks', '/index.md'],
    ['#here', '#here'],
    ['https://example.org', 'https://example.org'],
    ['../chaos/README.md', undefined],
  ])('%s leads to %s', (href, to) => expect(siteLink('docs/canvas.md', href, undefined)).toBe(to));

  test('to a file that is no page leads to the source, if that has an address', () => {
    expect(siteLink('docs/canvas.md', '../chaos/README.md', 'https://example.org/main')).toBe(
      'https://example.org/main/chaos/README.md',
    );
  });
});

test('a page at another place has links that lead where they did', () => {
  const text = '[a](docs/tasks.md#x) [b](LICENSE "title") [c](https://example.org) [d](#here)';
  expect(moved(text, 'README.md', 'docs/generated/readme.md')).toBe(
    '[a](../tasks.md#x) [b](../../LICENSE "title") [c](https://example.org) [d](#here)',
  );
});

test.each([
  ["Its jobs in Umbel's queues", 'its-jobs-in-umbels-queues'],
  ['ctx.replace', 'ctxreplace'],
  ['map, starmap, chunks', 'map-starmap-chunks'],
])('the anchor of "%s" is %s', (heading, anchor) => expect(slug(heading)).toBe(anchor));

describe('declarations', () => {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-declarations-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  test('are followed to where they are, with docstrings and without what is private', () => {
    write(
      'a.d.ts',
      '/** One of it. */\nexport declare function a(x: 1): 1;\nexport declare function a(x: 2): 2;\n',
    );
    write('b.d.ts', '/**\n * A class.\n */\nexport declare class B {\n    #private;\n    b: 1;\n}\n');
    const file = write(
      'index.d.ts',
      "import { B } from './b.js';\nexport { a as z } from './a.js';\nexport { B };\n",
    );
    expect(exportsOf(file)).toEqual([
      {
        name: 'B',
        declarations: [{ kind: 'ClassDeclaration', text: 'class B {\n  b: 1;\n}', doc: 'A class.' }],
      },
      {
        name: 'z',
        declarations: [
          { kind: 'TSDeclareFunction', text: 'function a(x: 1): 1;', doc: 'One of it.' },
          { kind: 'TSDeclareFunction', text: 'function a(x: 2): 2;', doc: undefined },
        ],
      },
    ]);
  });

  test('that cannot be followed are an error', () => {
    expect(() => exportsOf(write('all.d.ts', "export * from './a.js';\n"))).toThrow('export *');
    expect(() => exportsOf(write('none.d.ts', "export { nothing } from './a.js';\n"))).toThrow(
      'no export nothing',
    );
  });
});
