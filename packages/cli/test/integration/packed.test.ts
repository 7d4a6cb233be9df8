/** `umbel init` with the packages as they are published, in an empty folder. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { packedFiles } from '../../../../test/support/packed.js';

const OPTIONS = { encoding: 'utf8', timeout: 280_000 } as const;

describe('the packed packages, in an empty folder', { timeout: 300_000 }, () => {
  let cwd: string;

  beforeAll(() => {
    cwd = mkdtempSync(join(tmpdir(), 'umbel-packed-'));
    // In place of the registry, which gives everything else.
    const tarballs = packedFiles().values();
    const installed = spawnSync('npm', ['install', '--no-audit', '--no-fund', ...tarballs], {
      ...OPTIONS,
      cwd,
    });
    if (installed.status !== 0) throw new Error(installed.stderr);
    return () => rmSync(cwd, { recursive: true, force: true });
  }, 300_000);

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
    // Keeps reading: a worker ends when nobody reads its lines.
    const isReady = new Promise<void>((resolve) => {
      worker.stdout.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (/ ready$/m.test(text)) resolve();
      });
    });
    await isReady;
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
