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
const OF_PACKAGE = /\/(?:src|dist)\/own-file\.[jt]s$/;

/** A file of this package that was built, by its path below `dist`; undefined in a bundle. */
export function builtFile(path: string): URL | undefined {
  return OF_PACKAGE.test(OWN_FILE) && url !== undefined ? new URL(`../dist/${path}`, url) : undefined;
}

/** The folder of this package; in a bundle, the file. */
export function ownLocation(): string {
  return OWN_FILE.replace(OF_PACKAGE, '');
}
