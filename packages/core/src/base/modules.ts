// Not by its name: bundles of ECMAScript modules often begin with lines of their own that import `createRequire`.
import * as nodeModule from 'node:module';
import { MissingPackageError } from './errors.js';

/** Where this code is: in the files of this package, or in a bundle, whose only file is another one. */

/** In an ECMAScript module. Undefined in a CommonJS bundle, whose `import.meta` is empty. */
const url = (import.meta as { readonly url?: string }).url;

/**
 * The file that holds this code: a URL, or a path in a CommonJS bundle. It says from where packages are found, and tells
 * copies of this code apart.
 */
export const OWN_FILE: string =
  url ?? (typeof __filename === 'string' ? __filename : `${process.cwd()}/bundle.js`);

/** Whether `import.meta.url` has no value here, whatever module asks for it. */
export const IS_WITHOUT_URL = url === undefined;

/** One that a bundler has left as it was. */
const OF_PACKAGE = /\/(?:src|dist)\/base\/modules\.[jt]s$/;

/** A file of this package that was built, by its path below `dist`; undefined in a bundle. */
export function builtFile(path: string): URL | undefined {
  return OF_PACKAGE.test(OWN_FILE) && url !== undefined ? new URL(`../../dist/${path}`, url) : undefined;
}

/** The folder of this package; in a bundle, the file. */
export function ownLocation(): string {
  return OWN_FILE.replace(OF_PACKAGE, '');
}

/**
 * What a package exports that is an optional peer, at the first use of what needs it. An import would fail before
 * anything could say why.
 * @param bundled What `require` gives, where that is: a bundler finds the package only by a call with its name.
 * @throws {MissingPackageError} if it is not installed.
 */
export function optionalPeer(name: string, what: string, bundled: () => unknown): unknown {
  const own = bundled();
  if (own !== undefined) return own;
  try {
    return nodeModule.createRequire(OWN_FILE)(name);
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code !== 'MODULE_NOT_FOUND') throw cause;
    throw new MissingPackageError(name, what, { cause });
  }
}
