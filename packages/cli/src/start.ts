/** Caches compiled code between starts, which take most of the time of a short command, and reads the version. */

import { readFileSync } from 'node:fs';
import nodeModule from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The part of `node:module` that exists since Node 22.1. */
interface Caching {
  readonly enableCompileCache?: (folder: string) => unknown;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Caches compiled code in a folder of the user: any user of the machine could put code into a shared folder. Does nothing on
 * older versions of Node, or if NODE_COMPILE_CACHE or NODE_DISABLE_COMPILE_CACHE is set.
 */
export function keepCompiledCode(
  caching: Caching = nodeModule as Caching,
  env: Environment = process.env,
  home: string = homedir(),
): void {
  if (env.NODE_COMPILE_CACHE || env.NODE_DISABLE_COMPILE_CACHE) return;
  const folder = env.XDG_CACHE_HOME || join(home, '.cache');
  caching.enableCompileCache?.(join(folder, 'umbel', 'compiled'));
}

/** Returns the version of this package. */
export function ownVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
