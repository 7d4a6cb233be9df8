/** What `npm test` leaves to `npm run test:long` is there, and is run by CI. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LONG, SIZED } from '../support/length.js';
import { root } from '../support/snippets.js';

test('the files that are longer in `npm run test:long` are those that ask how long to be', () => {
  const search = ['grep', '--untracked', '-l', 'test/support/length.js', '--', '*.test.ts'];
  const { stdout } = spawnSync('git', search, { cwd: root, encoding: 'utf8' });
  const asking = stdout.split('\n').filter((file) => file !== '' && file !== 'test/unit/length.test.ts');
  expect(asking.toSorted()).toEqual(SIZED.toSorted());
});

test('the files that only `npm run test:long` runs are there, and CI runs it', () => {
  expect(LONG.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  expect(readFileSync(join(root, '.ci/run'), 'utf8')).toContain('npm run test:long');
});
