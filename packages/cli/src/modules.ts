/** Loads modules of the user's project, TypeScript too, and packages as the project finds them. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export type Exports = Readonly<Record<string, unknown>>;

/** Of Umbel there is to be one copy in the process: what jiti transforms would be another. */
const NATIVE = ['@umbel/core', '@umbel/canvas', '@umbel/testing'];

/** What Node loads by itself, on every version that we support. */
const JAVASCRIPT = /\.[cm]?js$/;

export async function importModule(path: string): Promise<Exports> {
  if (JAVASCRIPT.test(path)) return import(pathToFileURL(path).href);
  const { createJiti } = await import('jiti');
  process.setSourceMapsEnabled(true);
  const jiti = createJiti(path, {
    interopDefault: false,
    sourceMaps: true,
    nativeModules: NATIVE,
    fsCache: cacheFolder(path) ?? false,
  });
  return jiti.import(path);
}

/** A folder of the project: one that all users of a machine share would let any of them put code there. */
function cacheFolder(path: string): string | undefined {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'node_modules'))) return join(folder, 'node_modules/.cache/umbel');
    if (folder === dirname(folder)) return undefined;
  }
}

/** The packages that commands take from the project of the user. */
export interface Packages {
  '@umbel/core': typeof import('@umbel/core');
  '@umbel/core/internal': typeof import('@umbel/core/internal');
  '@umbel/testing/memory': typeof import('@umbel/testing/memory');
}

/** The package that a module in this folder would import; the one that this program has beside it, if there is none. */
export async function importPackage<Name extends keyof Packages>(
  name: Name,
  folder: string,
): Promise<Packages[Name]> {
  for (const from of [pathToFileURL(resolve(folder, 'module.js')), import.meta.url]) {
    try {
      const found = createRequire(from).resolve(name);
      return await import(pathToFileURL(found).href);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return Promise.reject(new MissingPackageError(name));
}

/** A package is in neither place. */
export class MissingPackageError extends Error {
  override readonly name = 'MissingPackageError';

  constructor(readonly specifier: string) {
    super(`The package ${specifier.split('/').slice(0, 2).join('/')} is not installed.`);
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return (
    code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED'
  );
}
