/** The README's code is written out as its files, compiled and run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filesOf, Snippets } from '../support/snippets.js';

describe('the code of the README', () => {
  const snippets = new Snippets('README.md', filesOf('README.md'));

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
    expect(run.stdout.split('\n')).toEqual([
      '{',
      "  url: 'https://example.org',",
      "  text: 'Hello from https://example.org, hello'",
      '}',
      'Example: 4 words, 1 link(s)',
      'https://a.example: 4 words, 1 link(s)',
      'https://b.example: 4 words, 1 link(s)',
      'https://c.example: 4 words, 1 link(s)',
      '',
    ]);
  });
});
