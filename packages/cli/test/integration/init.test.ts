import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';

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
    expect(again.stderr).toContain('tasks.ts and tasks.test.ts would be written over.');
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
    expect(stderr).toContain('The script "test" stays as it is; Umbel\'s is "umbel:test".');
    expect(readFileSync(join(cwd, 'tsconfig.json'), 'utf8')).toBe('{}\n');
  });

  test('refuses a name that no app can have', () => {
    const cwd = folder();
    expect(init(cwd, '--app-name', 'a b').status).toBe(2);
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe('the packed packages, in an empty folder', { timeout: 300_000 }, () => {
  let cwd: string;

  beforeAll(() => {
    cwd = mkdtempSync(join(tmpdir(), 'umbel-packed-'));
    const tarballs = ['core', 'canvas', 'testing', 'cli'].map((name) => {
      const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', cwd];
      const { stdout } = spawnSync('npm', args, { ...OPTIONS, cwd: join(root, 'packages', name) });
      const [packed] = Object.values(JSON.parse(stdout) as Record<string, { filename: string }>);
      return `./${packed?.filename}`;
    });
    // In place of the registry, which gives everything else.
    const installed = spawnSync('npm', ['install', '--no-audit', '--no-fund', ...tarballs], {
      ...OPTIONS,
      cwd,
    });
    if (installed.status !== 0) throw new Error(installed.stderr);
    return () => rmSync(cwd, { recursive: true, force: true });
  }, 200_000);

  test('lead by umbel init to a test that passes, code that compiles, and a worker that runs', async () => {
    const made = spawnSync('npx', ['umbel', 'init', '--yes'], { ...OPTIONS, cwd });
    expect(made.stderr).not.toContain('error:');
    expect({ status: made.status, next: made.stdout }).toEqual({
      status: 0,
      next: 'npm test\nnpm run worker\n',
    });
    const tested = spawnSync('npm', ['test'], { ...OPTIONS, cwd, env: { ...process.env, NO_COLOR: '1' } });
    expect(tested.stdout).toMatch(/Tests +1 passed/);
    expect(tested.status).toBe(0);
    expect(spawnSync('npx', ['tsc', '-p', '.'], { ...OPTIONS, cwd }).stdout).toBe('');

    const env = { ...process.env, UMBEL_URL: inject('redisUrl'), NO_COLOR: '1' };
    const worker = spawn('npm', ['run', 'worker'], {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => {
      const isRunning = worker.exitCode === null && worker.signalCode === null;
      if (isRunning && worker.pid !== undefined) process.kill(-worker.pid, 'SIGKILL');
    });
    let text = '';
    worker.stdout.setEncoding('utf8');
    for await (const part of worker.stdout) {
      text += part;
      if (/ ready$/m.test(text)) break;
    }
    const call = ['umbel', 'call', 'greet', '--input', '{"name":"Ada"}', '--wait', '--timeout', '60s'];
    const called = spawnSync('npx', call, { ...OPTIONS, cwd, env });
    expect({ status: called.status, stdout: called.stdout }).toEqual({
      status: 0,
      stdout: '{"text":"Hello, Ada!"}\n',
    });
    // One copy of the packages: that of the project.
    expect(existsSync(join(cwd, 'node_modules/umbel/node_modules/@umbel'))).toBe(false);
    const exited = once(worker, 'exit');
    if (worker.pid !== undefined) process.kill(-worker.pid, 'SIGTERM');
    await exited;
  });
});
