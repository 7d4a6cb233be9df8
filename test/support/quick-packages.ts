/**
 * The packages as they were built, with the files of each put together by a bundler, and those of BullMQ and Zod too: a process
 * loads them in a third of the time. Programs that tests start are run beside them, where it does not matter how the
 * packages lie on the disk. (Where that matters, as for isolated tasks, tests start what was built, or the tarballs.)
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { root } from './snippets.js';

declare module 'vitest' {
  interface ProvidedContext {
    quickFolder: string;
  }
}

/** The folders of the packages, by their names. */
const OWN = { '@umbel/core': 'core', '@umbel/canvas': 'canvas', '@umbel/testing': 'testing', umbel: 'cli' };
/** What takes long to load. */
const OTHERS = ['bullmq', 'cron-parser', 'zod'];
/** What is put into the files of our packages: it is small. */
const INLINED = ['ms', 'ts-pattern'];

/** For `globalSetup`. */
export default async function setup(project: TestProject): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-quick-'));
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@umbel'), { recursive: true });
  const ours = new Set(['@umbel', ...Object.keys(OWN), ...OTHERS]);
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.') && !ours.has(name))
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  await Promise.all([
    ...Object.entries(OWN).map(([name, directory]) =>
      putOwn(join(root, 'packages', directory), join(modules, name)),
    ),
    ...OTHERS.map((name) => putOther(name, join(modules, name))),
  ]);
  project.provide('quickFolder', folder);
  return () => rmSync(folder, { recursive: true, force: true });
}

/** A copy of one of our packages: the same files of types, and its modules in few files. */
async function putOwn(from: string, to: string): Promise<void> {
  cpSync(from, to, {
    recursive: true,
    filter: (path) => !/\/(?:node_modules|src|test)$|\.(?:js|map|tsbuildinfo)$/.test(path),
  });
  // What it needs in another version than this repository.
  const nested = join(from, 'node_modules');
  if (existsSync(nested)) symlinkSync(nested, join(to, 'node_modules'));
  const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as {
    exports?: Record<string, { default: string } | string>;
    bin?: Record<string, string>;
    dependencies?: Record<string, string>;
    peerDependencies?: Record<string, string>;
  };
  const { exports = {}, bin = {}, dependencies, peerDependencies } = manifest;
  const needed = [...Object.keys(OWN), ...Object.keys({ ...dependencies, ...peerDependencies })];
  const files = [...Object.values(exports), ...Object.values(bin)].map((entry) =>
    typeof entry === 'string' ? entry : entry.default,
  );
  await build({
    entryPoints: files.filter((file) => file.endsWith('.js')).map((file) => join(from, file)),
    outbase: join(from, 'dist'),
    outdir: join(to, 'dist'),
    bundle: true,
    splitting: true,
    external: needed.filter((name) => !INLINED.includes(name)),
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
}

/** A package of others, in one file. It is imported only, not required. */
async function putOther(name: string, to: string): Promise<void> {
  const from = join(root, 'node_modules', name);
  const names = Object.keys((await import(name)) as object).filter(
    (each) => each !== 'default' && !/^__|\./.test(each),
  );
  const { version, types } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as {
    version: string;
    types: string;
  };
  await build({
    stdin: { contents: `export { ${names.join(', ')} } from '${name}';`, resolveDir: root },
    outfile: join(to, 'index.js'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    mainFields: ['module', 'main'],
    logLevel: 'error',
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    },
  });
  const typesFile = join(from, types).replace(/\.d\.(c?)ts$/, '.$1js');
  writeFileSync(join(to, 'index.d.ts'), `export * from ${JSON.stringify(typesFile)};\n`);
  const exports = {
    '.': { types: './index.d.ts', default: './index.js' },
    './package.json': './package.json',
  };
  writeFileSync(join(to, 'package.json'), JSON.stringify({ name, version, type: 'module', exports }));
}

/**
 * A copy of a program that imports the packages, which imports those: of a file, of a folder, or of a package without its sources.
 * `path`: below the folder of this repository.
 */
export function quickly(path: string): string {
  const to = join(inject('quickFolder'), 'programs', path.slice(root.length));
  if (existsSync(to)) return to;
  const isPackage = existsSync(join(path, 'package.json'));
  const left = (isPackage ? ['node_modules', 'src', 'test'] : []).map((each) => join(path, each));
  // Another process may copy it now: what is there is whole.
  const part = `${to}.${process.pid}`;
  mkdirSync(dirname(to), { recursive: true });
  cpSync(path, part, { recursive: true, filter: (each) => !left.includes(each) });
  try {
    renameSync(part, to);
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    if (!existsSync(to)) throw error;
  }
  return to;
}
