/**
 * Locates this package at run time, in its own files or inside a bundle, and loads optional peer packages.
 */

// A namespace import, because bundles of ECMAScript modules often declare `createRequire` themselves.
import * as nodeModule from 'node:module';
import { MissingPackageError } from './errors.js';

/** Undefined in a CommonJS bundle, where `import.meta` is empty. */
const url = (import.meta as { readonly url?: string }).url;

/**
 * The file that holds this code: a URL, or a path in a CommonJS bundle. Packages are resolved from here, and two loaded
 * copies of this package differ in it.
 */
export const OWN_FILE: string =
  url ?? (typeof __filename === 'string' ? __filename : `${process.cwd()}/bundle.js`);

/** True in a CommonJS bundle, where `import.meta.url` is undefined in every module. */
export const IS_WITHOUT_URL = url === undefined;

/** Matches the path of this module in the package; a bundle has another path. */
const PATH_IN_PACKAGE = /\/(?:src|dist)\/base\/modules\.[jt]s$/;

/** Returns the URL of a built file of this package, by its path in `dist`; undefined in a bundle. */
export function builtFile(path: string): URL | undefined {
  return PATH_IN_PACKAGE.test(OWN_FILE) && url !== undefined ? new URL(`../../dist/${path}`, url) : undefined;
}

/** Returns the folder of this package, or the file of the bundle. */
export function ownLocation(): string {
  return OWN_FILE.replace(PATH_IN_PACKAGE, '');
}

/**
 * Returns the exports of an optional peer package. It is loaded at its first use, because a static import would fail
 * without an explanation.
 * @param feature Names what needs the package, for the error.
 * @param loadBundled Calls `require` with the literal name, which is how a bundler finds the package. Returns undefined where
 * `require` does not exist.
 * @throws {MissingPackageError} if the package is not installed.
 */
export function optionalPeer(name: string, feature: string, loadBundled: () => unknown): unknown {
  const bundled = loadBundled();
  if (bundled !== undefined) return bundled;
  try {
    return nodeModule.createRequire(OWN_FILE)(name);
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code !== 'MODULE_NOT_FOUND') throw cause;
    throw new MissingPackageError(name, feature, { cause });
  }
}
