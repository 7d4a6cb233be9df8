/** How many processes a worker has, and what starts them anew. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { InvalidOptionError } from '../../errors.js';
import { checkInteger, checkText } from '../../tasks/options.js';

/** Which files are watched: those of modules below the working directory, or any at and below the given paths. */
export type WatchedFiles = 'modules' | readonly string[];

/** @throws {InvalidOptionError} */
export function processCount(processes: number | 'auto'): number {
  if (processes === 'auto') return availableParallelism();
  if (typeof processes !== 'number')
    throw new InvalidOptionError('processes', `a whole number from 1 to 1024, or 'auto'`, processes);
  return checkInteger('processes', processes, 1, 1024);
}

/** @throws {InvalidOptionError} */
export function watchedFiles(watch: boolean | readonly string[]): WatchedFiles | undefined {
  if (watch === false) return undefined;
  if (watch === true) return 'modules';
  if (!Array.isArray(watch) || watch.length === 0)
    throw new InvalidOptionError('watch', 'true, false or a list of paths', watch);
  return watch.map((path: string) => {
    if (!existsSync(checkText('watch', path, 4096)))
      throw new InvalidOptionError('watch', 'paths of files and folders that exist', path);
    return path;
  });
}
