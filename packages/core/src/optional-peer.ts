import { createRequire } from 'node:module';
import { MissingPackageError } from './errors.js';

const load = createRequire(import.meta.url);

/**
 * What a package exports that is an optional peer, at the first use of what needs it. An import would fail before
 * anything could say why.
 * @throws {MissingPackageError} if it is not installed.
 */
export function optionalPeer(name: string, what: string): unknown {
  try {
    return load(name);
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code !== 'MODULE_NOT_FOUND') throw cause;
    throw new MissingPackageError(name, what, { cause });
  }
}
