/** Prisma as it is installed: its example sends in a transaction, compiles, and prints what its page says. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { blocks, readme } from '../support/example.js';
import { describeOnPostgres } from '../support/on-postgres.js';
import { packedFiles } from '../support/packed.js';
import { root } from '../support/snippets.js';

const SOURCE = join(root, 'examples/transactions/prisma');

describeOnPostgres('the example with Prisma', ({ server }) => {
  test('sends in a transaction, compiles, and prints what its page says', { timeout: 300_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'umbel-prisma-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    for (const file of ['package.json', 'schema.prisma', 'prisma.config.ts', 'main.ts'])
      cpSync(join(SOURCE, file), join(folder, file));
    const run = (program: string, ...args: string[]): SpawnSyncReturns<string> => {
      const env = {
        ...process.env,
        UMBEL_URL: `${server().url}?schema=prisma`,
        // For migrations; what generates the client does not call it.
        PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      };
      return spawnSync(program, args, { cwd: folder, env, encoding: 'utf8', timeout: 120_000 });
    };
    const packed = packedFiles();
    const tarballs = ['@umbel/core', '@umbel/canvas'].map((name) => packed.get(name) ?? '');
    const installed = run(
      'npm',
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--silent',
      ...tarballs,
    );
    expect(installed.status, installed.stderr).toBe(0);
    const { status, stdout, stderr } = run('npm', 'start', '--silent');
    expect(status, stderr).toBe(0);
    const [, printed = ''] = blocks(readme('transactions'), 'text');
    expect(stdout.slice(-printed.length)).toBe(printed);
    const options = '--noEmit --strict --module nodenext --target es2023 --skipLibCheck --ignoreConfig'.split(
      ' ',
    );
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    const compiled = run(
      process.execPath,
      join(root, 'node_modules/typescript/bin/tsc'),
      ...options,
      ...types,
      'main.ts',
    );
    expect(compiled.stdout).toBe('');
  });
});
