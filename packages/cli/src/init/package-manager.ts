/** Which package manager a project uses. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const MANAGERS = ['npm', 'pnpm', 'yarn', 'bun'] as const;
export type PackageManager = (typeof MANAGERS)[number];

const LOCKS: Readonly<Record<string, PackageManager>> = {
  'package-lock.json': 'npm',
  'pnpm-lock.yaml': 'pnpm',
  'yarn.lock': 'yarn',
  'bun.lock': 'bun',
};

/** By the lock file of the folder, else by what has started this program (`pnpm dlx umbel init`), else npm. */
export function packageManagerOf(folder: string, agent = process.env.npm_config_user_agent): PackageManager {
  const lock = Object.keys(LOCKS).find((name) => existsSync(join(folder, name)));
  if (lock !== undefined) return LOCKS[lock] ?? 'npm';
  return MANAGERS.find((name) => agent?.startsWith(`${name}/`)) ?? 'npm';
}

/** How a script of package.json is run. */
export function scriptLine(manager: PackageManager, script: string): string {
  return script === 'test' ? `${manager} test` : `${manager} run ${script}`;
}
