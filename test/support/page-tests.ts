/** What is claimed of the code on a page: that it compiles, and prints what it says. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf, filesOf, promisedLines, Snippets } from './snippets.js';

/** Tests each page. Its programs run one after the other, with these variables beside the usual ones. */
export function testPages(
  pages: readonly string[],
  env: () => Readonly<Record<string, string>> = () => ({}),
): void {
  describe.each(pages)('%s', (page) => {
    const files = filesOf(page);
    const snippets = new Snippets(page, files, env);
    const programs = [...files].filter(([, code]) => promisedLines(code).length > 0);

    beforeAll(() => snippets.write());
    afterAll(() => snippets.remove());

    test('has no code that is not checked', () => {
      expect(blocksOf(page).filter(({ file }) => file === undefined)).toEqual([]);
    });

    test('compiles', () => {
      expect(snippets.compile()).toBe('');
    });

    test.each(programs)('prints what %s says', (name, code) => {
      const run = snippets.node(join('dist', name.replace(/ts$/, 'js')));
      expect(run.stderr).toBe('');
      expect(run.stdout.split('\n').slice(0, -1)).toEqual(promisedLines(code));
    });

    test.each(files.has('tasks.test.ts') ? ['tasks.test.ts'] : [])('passes the tests of %s', () => {
      const { numPassedTests, numTotalTests } = snippets.vitest();
      expect(numTotalTests).toBeGreaterThan(0);
      expect(numPassedTests).toBe(numTotalTests);
    });

    test('has every file run, by itself or by another', () => {
      const imported = [...files.values()].join('').matchAll(/(?:from |import\()'\.\/(\w+)\.js'/g);
      const run = new Set([
        ...programs.map(([name]) => name),
        ...[...imported].map(([, name]) => `${name}.ts`),
      ]);
      expect([...files.keys()].filter((name) => !run.has(name) && name !== 'tasks.test.ts')).toEqual([]);
    });
  });
}
