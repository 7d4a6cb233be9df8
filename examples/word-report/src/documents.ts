/** Finds documents in a folder, and reads them. */
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { reasonOf } from './errors.js';

export interface FoundDocuments {
  /** Relative to the folder, with `/`, sorted. */
  readonly paths: readonly string[];
  /** Too large to be text that people read. */
  readonly tooLarge: readonly string[];
}

export const MAX_BYTES = 1024 * 1024;
const IS_DOCUMENT = /^readme$|\.(?:md|markdown|txt|rst)$/i;

/** Every document below the folder. Symbolic links are not followed; hidden folders are left out. */
export async function findDocuments(folder: string): Promise<FoundDocuments> {
  const paths: string[] = [];
  const tooLarge: string[] = [];
  for await (const file of filesBelow(folder)) {
    const path = relative(folder, file).replaceAll(sep, '/');
    const { size } = await reading(path, lstat(file));
    (size > MAX_BYTES ? tooLarge : paths).push(path);
  }
  return { paths: paths.sort(), tooLarge: tooLarge.sort() };
}

/** The text of a document. @throws {Error} with a message for people if it cannot be read, or is not UTF-8. */
export async function readText(folder: string, path: string): Promise<string> {
  const bytes = await reading(path, readFile(join(folder, path)));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Error(`Cannot read ${path}: it is not UTF-8 text`, { cause });
  }
}

async function* filesBelow(folder: string, top = folder): AsyncGenerator<string> {
  const entries = await reading(relative(top, folder) || '.', readdir(folder, { withFileTypes: true }));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !entry.name.startsWith('.')) yield* filesBelow(path, top);
    if (entry.isFile() && IS_DOCUMENT.test(entry.name)) yield path;
  }
}

async function reading<Value>(path: string, value: Promise<Value>): Promise<Value> {
  try {
    return await value;
  } catch (cause) {
    throw new Error(`Cannot read ${path}: ${reasonOf(cause)}`, { cause });
  }
}
