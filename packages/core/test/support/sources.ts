/** The sources of the packages, as text. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Every source file of every package, from the root of the repository, sorted. */
export const sourceFiles = readdirSync(join(root, 'packages'), { recursive: true, withFileTypes: true })
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .filter((file) => /^packages\/[^/]+\/src\/.*\.ts$/.test(file))
  .sort();

/** A file without its comments. */
export function codeOf(file: string): string {
  return readFileSync(join(root, file), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(?<!:)\/\/ .*$/gm, '');
}
