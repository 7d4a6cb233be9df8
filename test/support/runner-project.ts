/** A project of somebody who tests with another runner: the packages as they are published, and its files. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { packedFiles } from './packed.js';
import { root } from './snippets.js';

/** How a run has ended. */
export interface RunnerResult {
  readonly status: number | null;
  readonly output: string;
}

export class RunnerProject {
  readonly folder = mkdtempSync(join(tmpdir(), 'umbel-runners-'));

  /** Unpacks the packages beside what this repository has installed. */
  constructor() {
    const modules = join(this.folder, 'node_modules');
    mkdirSync(join(modules, '@umbel'), { recursive: true });
    for (const name of readdirSync(join(root, 'node_modules'))) {
      if (name.startsWith('.') || name === '@umbel' || name === 'umbel') continue;
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
    }
    for (const [name, file] of packedFiles()) {
      if (!name.startsWith('@umbel/')) continue;
      mkdirSync(join(modules, name));
      const { status } = spawnSync('tar', ['-xzf', file, '--strip-components=1', '-C', join(modules, name)]);
      if (status !== 0) throw new Error(`${file} was not unpacked`);
    }
    this.write('package.json', JSON.stringify({ private: true }));
  }

  write(file: string, code: string): void {
    const path = join(this.folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, code);
  }

  /** What Node does in a folder of it, without the settings of the runner that runs this. */
  node(folder: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): RunnerResult {
    return this.run(process.execPath, folder, args, env);
  }

  /** As `node`, with another program. */
  run(
    program: string,
    folder: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): RunnerResult {
    const { PATH = '', HOME = '' } = process.env;
    const { status, stdout, stderr } = spawnSync(program, args, {
      cwd: join(this.folder, folder),
      env: { PATH, HOME, ...env },
      encoding: 'utf8',
      timeout: 180_000,
    });
    return { status, output: stdout + stderr };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
