/** The README's code is written out as its files, compiled and run. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'test/.readme');
const node = (...args: string[]) =>
  spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', timeout: 60_000 });

describe('the code of the README', () => {
  beforeAll(() => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const text = readFileSync(join(root, 'README.md'), 'utf8');
    for (const [, name = '', code = ''] of text.matchAll(/```ts file=(\S+)\n([\s\S]*?)```/g)) {
      writeFileSync(join(folder, name), code);
    }
    writeFileSync(join(folder, 'vitest.config.js'), 'export default { test: { include: ["*.test.ts"] } };\n'); // not the one of this repository
    const compilerOptions = {
      composite: false,
      declaration: false,
      sourceMap: false,
      rootDir: '.',
      outDir: 'dist',
    };
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: '../../tsconfig.base.json', compilerOptions, include: ['*.ts'] }),
    );
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('compiles', () => {
    expect(node(join(root, 'node_modules/typescript/bin/tsc'), '-p', folder).stdout).toBe('');
  });

  test('has a test file that passes', () => {
    const run = node(
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--root',
      folder,
      '--reporter=json',
    );
    const { numPassedTests, numTotalTests } = JSON.parse(run.stdout) as Record<string, number>;
    expect({ numPassedTests, numTotalTests }).toEqual({ numPassedTests: 2, numTotalTests: 2 });
  });

  test('gives what it says', () => {
    const run = node('dist/main.js');
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
