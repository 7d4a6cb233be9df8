/** The packages as they are published. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './snippets.js';

/** The folders of the packages, by their names. */
const PACKAGES = {
  '@umbel/core': 'core',
  '@umbel/canvas': 'canvas',
  '@umbel/testing': 'testing',
  umbel: 'cli',
};

/** Packs them into a folder. Gives the path of each, by its name. */
export function packInto(folder: string): Map<string, string> {
  return new Map(
    Object.entries(PACKAGES).map(([name, directory]) => {
      const args = ['pack', join(root, 'packages', directory), '--ignore-scripts', '--silent'];
      const { stdout, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8', timeout: 90_000 });
      const file = stdout.trim();
      if (!file.endsWith('.tgz')) throw new Error(`${name} was not packed: ${stderr}`);
      return [name, join(folder, file)];
    }),
  );
}
