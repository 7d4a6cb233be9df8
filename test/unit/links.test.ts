/** No link of any Markdown file of the repository leads to a file or a heading that is not there. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { llmsText, repositoryFile } from '../../docs/.vitepress/llms.js';
import { stages } from '../../docs/.vitepress/pages.js';
import { anchorsIn, linksIn } from '../support/markdown.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** All files of the repository, without those that git ignores. */
const files = spawnSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard', '*.md', 'llms.txt'],
  {
    cwd: root,
    encoding: 'utf8',
  },
)
  .stdout.split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)));

/** What is wrong with a link of a file; undefined if it leads somewhere. */
function problemOf(file: string, link: string): string | undefined {
  if (/^(https?|mailto):/.test(link)) return undefined;
  const [path = '', anchor] = decodeURI(link).split('#', 2);
  const target = path === '' ? file : normalize(join(dirname(file), path));
  if (!existsSync(join(root, target))) return `${link}: there is no ${target}`;
  if (anchor === undefined) return undefined;
  return anchorsIn(read(target)).has(anchor) ? undefined : `${link}: ${target} has no heading for it`;
}

test('there are files to check', () => {
  expect(files).toEqual(expect.arrayContaining(['README.md', 'docs/tasks.md', 'packages/core/README.md']));
});

test.each(files)('%s links to files and headings that there are', (file) => {
  expect(
    linksIn(read(file))
      .map((link) => problemOf(file, link))
      .filter(Boolean),
  ).toEqual([]);
});

test('blocks of code open with a line that has nothing else, so tests find them', () => {
  const fences = files.flatMap((file) =>
    [...read(file).matchAll(/^ *```(.*)$/gm)].map(([, info = '']) => info),
  );
  expect(fences.length).toBeGreaterThan(500);
  expect(fences.filter((info) => !/^(\w+( (file=\S+|walk|acl))?)?$/.test(info))).toEqual([]);
});

describe('a link', () => {
  test.each([
    ['no-such-file.md', 'there is no docs/no-such-file.md'],
    ['tasks.md#no-such-heading', 'docs/tasks.md has no heading for it'],
    ['#no-such-heading', 'docs/canvas.md has no heading for it'],
  ])('%s is found to lead nowhere', (link, problem) => {
    expect(problemOf('docs/canvas.md', link)).toBe(`${link}: ${problem}`);
  });

  test.each(['tasks.md#errors', '../README.md#define-tasks', '#ctxreplace', 'https://example.org/#x'])(
    '%s leads somewhere',
    (link) => expect(problemOf('docs/canvas.md', link)).toBeUndefined(),
  );

  test('is not taken from code', () => {
    expect(linksIn('[a](b) `[c](d)`\n```ts\n[e](f)\n```\n[g](<h>)\n')).toEqual(['b', 'h']);
  });
});

describe('the site', () => {
  const pages = stages.flatMap(({ pages }) => pages.map(({ page }) => page));

  test('has every page of docs/ in its sidebar, once', () => {
    const own = files.filter((file) => /^docs\/[^/]+\.md$/.test(file)).map((file) => file.slice(5, -3));
    expect(pages.filter((page) => !page.startsWith('generated/')).sort()).toEqual(
      own.filter((page) => page !== 'index').sort(),
    );
    expect(new Set(pages).size).toBe(pages.length);
  });

  test('has its pages in llms.txt, which `npm run docs:build` writes', () => {
    expect(read('llms.txt')).toBe(llmsText(repositoryFile));
  });
});
