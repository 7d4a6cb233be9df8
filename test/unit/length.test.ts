/** The files that `npm test` leaves to other commands exist, and CI runs those of `npm run test:published`. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LONG, PGLITE, POSTGRES, PUBLISHED, SIZED } from '../support/length.js';
import { root } from '../support/snippets.js';

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

test('the files that are longer in `npm run test:long` are those that ask how long to be', () => {
  const search = ['grep', '--untracked', '-l', 'support/length.js', '--', '*.test.ts'];
  const { stdout } = spawnSync('git', search, { cwd: root, encoding: 'utf8' });
  const asking = stdout.split('\n').filter((file) => file !== '' && file !== 'test/unit/length.test.ts');
  expect(asking.toSorted()).toEqual(SIZED.toSorted());
});

test('the files that `npm test` leaves to other commands are there, and CI runs all but the long ones', () => {
  const files = [...LONG, ...PUBLISHED, ...POSTGRES.only, ...POSTGRES.too, ...PGLITE.only, ...PGLITE.too];
  expect(files.filter((file) => !existsSync(join(root, file.replace('*.test.ts', ''))))).toEqual([]);
  expect(readFileSync(join(root, '.ci/run'), 'utf8')).toContain('npm run test:others');
  for (const name of ['postgres', 'pglite', 'published'])
    expect(scripts['test:others']).toContain(`--project ${name}`);
});

test('a release runs all tests', () => {
  for (const command of ['npm run check', 'npm run test:others', 'npm run test:long'])
    expect(scripts.release).toContain(command);
});
