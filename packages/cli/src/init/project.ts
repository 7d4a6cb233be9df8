/** Writes a first app into a folder. Nothing that is there is written over. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { configFile } from '../config.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { parseJson } from '../json-input.js';
import { type Manifest, type ManifestChange, withUmbel } from './manifest.js';
import { templates } from './templates.js';

export interface WrittenProject extends Omit<ManifestChange, 'manifest'> {
  readonly written: readonly string[];
  /** Were there before. */
  readonly left: readonly string[];
}

/** May be there already: a project has its own. */
const OPTIONAL = new Set(['tsconfig.json', 'umbel.config.json']);

/** A name that an app can have, from that of the folder. */
export function nameFrom(folder: string): string {
  return (
    basename(folder)
      .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
      .replaceAll(/^[-.]+|[-.]+$/g, '')
      .slice(0, 100) || 'app'
  );
}

/** @throws {CliError} if a file is there that would be written; then nothing is. */
export function writeProject(folder: string, name: string, version: string): WrittenProject {
  const files = Object.entries(templates({ name }));
  const present = files.map(([path]) => path).filter((path) => existsSync(join(folder, path)));
  const left = present.filter((path) => OPTIONAL.has(path));
  const inTheWay = present.filter((path) => !OPTIONAL.has(path));
  if (inTheWay.length > 0) {
    throw new CliError({
      exitCode: EXIT.usage,
      what: `${inTheWay.join(' and ')} would be written over.`,
      why: `The folder ${folder} has files of that name already.`,
      hint: 'Nothing was written. Move them away, or start in another folder.',
    });
  }
  const path = join(folder, 'package.json');
  const given = existsSync(path) ? (parseJson(readFileSync(path, 'utf8'), path) as Manifest) : undefined;
  const { manifest, ...change } = withUmbel(given, nameFrom(folder).toLowerCase(), version);
  const hasConfig = configFile(folder) !== undefined;
  const toWrite = files.filter(
    ([file]) => !left.includes(file) && !(file === 'umbel.config.json' && hasConfig),
  );
  for (const [file, text] of toWrite) writeFileSync(join(folder, file), text, { flag: 'wx' });
  writeFileSync(path, `${JSON.stringify(manifest, undefined, 2)}\n`);
  return { ...change, left, written: [...toWrite.map(([file]) => file), 'package.json'] };
}
