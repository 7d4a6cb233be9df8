/** Judges the program itself: versions, and whether there is one copy of each package. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ownVersion } from '../version.js';
import { type Check, ok } from './check.js';

const PACKAGES = ['@umbel/core', '@umbel/canvas', '@umbel/testing', 'bullmq', 'zod'];
const OLDEST_NODE = [20, 19];

export function nodeCheck(version = process.versions.node): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldest = 0, oldestMinor = 0] = OLDEST_NODE;
  const isOld = major < oldest || (major === oldest && minor < oldestMinor);
  if (!isOld) return ok('node', `Node ${version}`);
  return { id: 'node', status: 'error', message: `Node ${version}`, hint: 'Install 20.19 or newer.' };
}

/** The versions of the packages that a module in this folder gets; those of Umbel have to be one. */
export function packageChecks(folder: string): Check[] {
  const own = ownVersion();
  const found = PACKAGES.map((name) => [name, installedVersion(name, folder)] as const);
  const words = found.flatMap(([name, version]) => (version === undefined ? [] : [`${name} ${version}`]));
  const others = found.filter(
    ([name, version]) => name.startsWith('@umbel/') && version !== undefined && version !== own,
  );
  const message = [`umbel ${own}`, ...words].join(', ');
  if (others.length === 0) return [ok('packages', message)];
  return [
    {
      id: 'packages',
      status: 'warning',
      message,
      hint: `Of Umbel's packages install one version: npm install ${others.map(([name]) => `${name}@${own}`).join(' ')}`,
    },
  ];
}

/** Of the package that a module in `folder` gets, or, if it gets none, of that beside this program. */
function installedVersion(name: string, folder: string): string | undefined {
  for (const from of [folder, dirname(fileURLToPath(import.meta.url))]) {
    for (let at = from; ; at = dirname(at)) {
      const file = join(at, 'node_modules', name, 'package.json');
      if (existsSync(file)) {
        const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown };
        return typeof version === 'string' ? version : undefined;
      }
      if (at === dirname(at)) break;
    }
  }
  return undefined;
}
