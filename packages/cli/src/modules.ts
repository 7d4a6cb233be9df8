/** Loads modules of the user's project, including TypeScript, and packages as the project resolves them. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CliError, EXIT } from './errors.js';

export type Exports = Readonly<Record<string, unknown>>;

/** Packages that jiti must not transform, because a transformed module would be a second copy of Umbel. */
const NATIVE = ['@umbel/core', '@umbel/canvas', '@umbel/dashboard', '@umbel/testing'];

/** Files that every supported version of Node loads itself. */
const JAVASCRIPT = /\.[cm]?js$/;

/** Imports a JavaScript or TypeScript module by its absolute path. */
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

/** Returns a cache folder in the project: any user of the machine could put code into a shared folder. */
function cacheFolder(path: string): string | undefined {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'node_modules'))) return join(folder, 'node_modules/.cache/umbel');
    if (folder === dirname(folder)) return undefined;
  }
}

/** The packages that commands load from the project of the user. */
interface Packages {
  '@umbel/core': typeof import('@umbel/core');
  '@umbel/core/internal': typeof import('@umbel/core/internal');
  '@umbel/dashboard': typeof import('@umbel/dashboard');
  '@umbel/dashboard/node': typeof import('@umbel/dashboard/node');
  '@umbel/testing/memory': typeof import('@umbel/testing/memory');
}

/** Imports the package that a module in this folder would import, else the one that this program would import. @throws {MissingPackageError} */
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

/** Neither the project nor this program has the package. */
export class MissingPackageError extends Error {
  override readonly name = 'MissingPackageError';

  /** Without the path inside of it. */
  readonly packageName: string;

  constructor(specifier: string) {
    const packageName = specifier.split('/').slice(0, 2).join('/');
    super(`Package "${packageName}" is not installed.`);
    this.packageName = packageName;
  }
}

/** How a command explains that a package which it needs is missing. */
interface MissingPackageTexts {
  readonly what: string;
  readonly why: string;
  /** What the user can do instead of installing it: `, or pass --connection`. */
  readonly otherwise?: string;
}

/** Imports a package of the project. @throws {CliError} that says how to install it, if it is missing. */
export async function requirePackage<Name extends keyof Packages>(
  name: Name,
  folder: string,
  { what, why, otherwise = '' }: MissingPackageTexts,
): Promise<Packages[Name]> {
  try {
    return await importPackage(name, folder);
  } catch (error) {
    if (!(error instanceof MissingPackageError)) throw error;
    const hint = `Run npm install --save-dev ${error.packageName}${otherwise}.`;
    throw new CliError({ exitCode: EXIT.usage, what, why, hint }, { cause: error });
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return (
    code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED'
  );
}
