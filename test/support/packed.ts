/** The packages as they are published. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './snippets.js';

/** The folders of the packages, by their names. */
const PACKAGES = {
  '@umbel/core': 'core',
  '@umbel/canvas': 'canvas',
  '@umbel/testing': 'testing',
  '@umbel/dashboard': 'dashboard',
  umbel: 'cli',
};

/** Packs them into a folder. Gives the path of each, by its name. */
export function packInto(folder: string): Map<string, string> {
  const directories = Object.values(PACKAGES).map((directory) => join(root, 'packages', directory));
  const args = ['pack', ...directories, '--ignore-scripts', '--silent'];
  const { stdout, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8', timeout: 180_000 });
  const files = stdout.trim().split('\n');
  const names = Object.keys(PACKAGES);
  if (files.length !== names.length || !files.every((file) => file.endsWith('.tgz'))) {
    throw new Error(`The packages were not packed: ${stdout}${stderr}`);
  }
  return new Map(names.map((name, index) => [name, join(folder, files[index] ?? '')]));
}
