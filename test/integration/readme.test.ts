/** The README's code is written out as its files, compiled and run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IS_LONG } from '../support/length.js';
import { describeOnPostgres } from '../support/on-postgres.js';
import { filesOf, Snippets } from '../support/snippets.js';

/** Output of the program `main.ts`. */
const OUTPUT = [
  '{',
  "  url: 'https://example.org',",
  "  text: 'Hello from https://example.org, hello'",
  '}',
  'Example: 4 words, 1 link(s)',
  'https://a.example: 4 words, 1 link(s)',
  'https://b.example: 4 words, 1 link(s)',
  'https://c.example: 4 words, 1 link(s)',
  '',
];

describe('the code of the README', () => {
  let url: string | undefined;
  const env = () => (url === undefined ? {} : { UMBEL_URL: url });
  const snippets = new Snippets('README.md', filesOf('README.md'), env);

  beforeAll(() => snippets.write());
  afterAll(() => snippets.remove());

  test('compiles', () => {
    expect(snippets.compile()).toBe('');
  });

  test('has a test file that passes', () => {
    expect(snippets.vitest()).toEqual({ numPassedTests: 2, numTotalTests: 2 });
  });

  test('gives what it says', () => {
    const run = snippets.node('dist/main.js');
    expect(run.stderr).toBe('');
    expect(run.stdout.split('\n')).toEqual(OUTPUT);
  });

  /** A worker warns of a server, or a PGlite, that does not wait for its disk. */
  const WARNING = /^(?:[^\n]*does not wait for its disk[^\n]*\n)?$/;

  function expectProgramOn(store: string): void {
    url = store;
    const { stdout, stderr } = snippets.node('dist/main.js');
    expect(stdout.split('\n'), stderr).toEqual(OUTPUT);
    expect(stderr).toMatch(WARNING);
  }

  describeOnPostgres('on a PostgreSQL server', ({ server }) => {
    test('gives the same', () => expectProgramOn(`${server().url}?schema=readme`));
  });

  // Opening one takes as long as all tests above.
  test.runIf(IS_LONG)('gives the same on PGlite', () => expectProgramOn('pglite:memory'));
});
