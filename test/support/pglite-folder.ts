/** The PGlite database of a process of the test run. */
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { resolveConnection } from '../../packages/core/src/store/connection.js';

/** Returns the URL of the database of this process, which stays open, because opening one takes a second. */
export function pgliteUrl(folder: string): string {
  const own = join(folder, String(process.pid));
  const url = `pglite:${own}`;
  if (!existsSync(own)) {
    cpSync(join(folder, 'new'), own, { recursive: true });
    resolveConnection(url).factory('keeper', { connection: {} }); // a user of the database, which never leaves
  }
  return url;
}
