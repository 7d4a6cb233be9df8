/** Keeps the compiled code of modules between two starts, where Node can: that is most of what a short command takes. */
import nodeModule from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Of Node 22.1 and newer. */
interface Caching {
  readonly enableCompileCache?: (folder: string) => unknown;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Keeps it in a folder of the user: in one that all users of a machine share, any of them could put code. Does nothing on
 * older versions of Node, and where NODE_COMPILE_CACHE or NODE_DISABLE_COMPILE_CACHE say otherwise.
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
