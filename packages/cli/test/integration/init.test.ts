import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const program = join(root, 'packages/cli/dist/main.js');
const OPTIONS = { encoding: 'utf8', timeout: 150_000 } as const;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'umbel-init-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const init = (cwd: string, ...args: string[]) =>
  spawnSync(process.execPath, [program, 'init', '--yes', ...args], { ...OPTIONS, cwd });

describe('umbel init', () => {
  test('writes a project, prints the two commands, and never writes over a file', () => {
    const cwd = folder();
    const { status, stdout, stderr } = init(cwd, '--no-install', '--app-name', 'shop');
    expect(status).toBe(0);
    expect(stdout).toBe('npm install && npm test\nnpm run worker\n');
    expect(stderr).toContain('wrote tasks.ts');
    expect(readdirSync(cwd).sort()).toEqual([
      'package.json',
      'tasks.test.ts',
      'tasks.ts',
      'tsconfig.json',
      'umbel.config.json',
    ]);
    expect(readFileSync(join(cwd, 'tasks.ts'), 'utf8')).toContain("createApp({ name: 'shop' })");
    writeFileSync(join(cwd, 'tasks.ts'), 'mine\n');
    const before = readFileSync(join(cwd, 'package.json'), 'utf8');
    const again = init(cwd, '--no-install');
    expect(again.status).toBe(2);
    expect(again.stderr).toContain('tasks.ts and tasks.test.ts would be overwritten.');
    expect(readFileSync(join(cwd, 'tasks.ts'), 'utf8')).toBe('mine\n');
    expect(readFileSync(join(cwd, 'package.json'), 'utf8')).toBe(before);
  });

  test('leaves the configuration of a project as it is, and tells what it wrote as a document', () => {
    const cwd = folder();
    writeFileSync(join(cwd, 'tsconfig.json'), '{}\n');
    writeFileSync(join(cwd, 'package.json'), '{ "name": "own", "scripts": { "test": "jest" } }\n');
    const { status, stdout, stderr } = init(cwd, '--no-install', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      version: 1,
      kind: 'init',
      written: ['tasks.ts', 'tasks.test.ts', 'umbel.config.json', 'package.json'],
      next: ['npm install && npm run umbel:test', 'npm run worker'],
    });
    expect(stderr).toContain('Kept the script "test". Umbel\'s script is "umbel:test".');
    expect(readFileSync(join(cwd, 'tsconfig.json'), 'utf8')).toBe('{}\n');
  });

  test('refuses a name that no app can have', () => {
    const cwd = folder();
    expect(init(cwd, '--app-name', 'a b').status).toBe(2);
    expect(readdirSync(cwd)).toEqual([]);
  });
});
