import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { checkOptions } from '../tasks/known-options.js';
import { checkInteger } from '../tasks/options.js';
import type { Codec } from './sealing.js';

const compress = promisify(gzip);
const expand = promisify(gunzip);

/** A compressed value may not grow beyond this where nobody says how far: a few kilobytes can expand to gigabytes. */
const MAX_EXPANDED = 64 * 1024 * 1024;

/** A codec that compresses values of `minBytes` and more (default 1,024) with gzip. Put it before encryption. */
export function compression(options: { minBytes?: number | undefined } = {}): Codec {
  const { minBytes = 1024 } = checkOptions(options, { minBytes: true });
  checkInteger('minBytes', minBytes, 0, Number.MAX_SAFE_INTEGER);
  return {
    name: 'gzip',
    encode: async (data) => (data.length < minBytes ? undefined : compress(data)),
    // Looked at while it grows.
    decode: (data, { maxBytes = MAX_EXPANDED }) => expand(data, { maxOutputLength: maxBytes }),
  };
}
