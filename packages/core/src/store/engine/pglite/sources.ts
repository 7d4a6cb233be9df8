/** This module opens databases of PGlite: in a folder, in memory, and that of the user. */
import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
// A namespace import: bundlers of ECMAScript modules often add an import of `dirname`, which would collide.
import * as nodePath from 'node:path';
import { StoreConfigurationError } from '../../../base/errors.js';
import type { PgliteSource } from './database.js';
import { type FolderLock, isLockFile, lockFolder } from './folder-lock.js';
import type { PgliteInstance, PglitePackage } from './pglite-package.js';

/** A database in a folder, which is created if it is missing. One process at a time has it open. */
export function folderSource({ PGlite }: PglitePackage, folder: string): PgliteSource {
  let lock: FolderLock | undefined;
  return {
    ownsSession: true,
    async open() {
      mkdirSync(folder, { recursive: true });
      lock = await lockFolder(folder);
      try {
        const finish = prepareFolder(folder);
        const database = await PGlite.create(folder);
        finish();
        return database;
      } catch (error) {
        lock.release();
        throw error;
      }
    },
    async close(database) {
      try {
        await database.close();
      } finally {
        lock?.release();
      }
    },
  };
}

/** Is in a folder while its database is created. */
const UNFINISHED = 'umbel-unfinished';

/**
 * Prepares a folder for a new database, unless it has one; returns a function to call when the database is there. A process
 * that is killed meanwhile leaves a part of a database, which is removed.
 * @throws {StoreConfigurationError} if there are other files.
 */
function prepareFolder(folder: string): () => void {
  const marker = nodePath.join(folder, UNFINISHED);
  const files = readdirSync(folder).filter((file) => !isLockFile(file));
  if (files.includes(UNFINISHED)) {
    for (const file of files) rmSync(nodePath.join(folder, file), { recursive: true });
  } else if (files.includes('PG_VERSION')) {
    return () => {};
  } else if (files.length > 0) {
    throw new StoreConfigurationError(
      `The folder "${folder}" has no database of PGlite, but other files: expected an empty folder or none. Name another folder.`,
    );
  }
  writeFileSync(marker, '');
  return () => rmSync(marker);
}

/** A database in memory, which ends with this process. */
export function memorySource({ PGlite }: PglitePackage): PgliteSource {
  let opened: Promise<PgliteInstance> | undefined;
  return {
    ownsSession: true,
    open() {
      opened ??= PGlite.create('memory://');
      return opened;
    },
    async close() {},
  };
}

/** A database that the user has opened, and closes. */
export function userSource(database: PgliteInstance): PgliteSource {
  return { ownsSession: false, open: async () => database, async close() {} };
}

/** Returns the absolute path of a folder, which may be missing, without symbolic links: one folder, one path. */
export function pathOfFolder(folder: string): string {
  const path = nodePath.resolve(folder);
  if (existsSync(path)) return realpathSync(path);
  const parent = nodePath.dirname(path);
  return parent === path ? path : nodePath.join(pathOfFolder(parent), path.slice(parent.length));
}
