// Not by its name: bundles of ECMAScript modules often begin with lines of their own that import `createRequire`.
import * as nodeModule from 'node:module';
import { MissingPackageError } from './errors.js';
import { OWN_FILE } from './own-file.js';

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
