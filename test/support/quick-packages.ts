/**
 * The packages as they were built, with the files of each put together by a bundler, and those of BullMQ, ioredis and Zod too,
 * beside their compiled code: a process loads them in a quarter of the time. Tests start programs beside them where it does not
 * matter how the packages lie on the disk. (Where that matters, as for isolated tasks, tests start what was built, or the
 * tarballs.)
 */
import { execFileSync } from 'node:child_process';
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
import { basename, dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { QUICK_WASM } from './quick-wasm.js';
import { root } from './snippets.js';

declare module 'vitest' {
  interface ProvidedContext {
    quickFolder: string;
  }
}

/** The folders of the packages, by their names. */
const OWN = {
  '@umbel/core': 'core',
  '@umbel/canvas': 'canvas',
  '@umbel/testing': 'testing',
  '@umbel/dashboard': 'dashboard',
  umbel: 'cli',
};
/** Packages of others that take long to load. */
const OTHERS = ['bullmq', 'cron-parser', 'ioredis', 'zod'];
/** Small packages, which are put into the files of ours. */
const INLINED = ['ms', 'ts-pattern'];
/** The only import of a program of a package: a program awaits at its top level, which a bundle to be required cannot. */
const PROGRAM = 'dist/program.js';

/** The folder of this run and how many projects use it. Each project loads this file anew. */
const SHARED = Symbol.for('umbel.test.quick-packages');
const shared = globalThis as {
  [key: symbol]: { readonly folder: Promise<string>; users: number } | undefined;
};

/** For `globalSetup`. The projects of a run share the folder. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared[SHARED] ??= { folder: putPackages(project.getProvidedContext().redisUrl), users: 0 };
  const own = shared[SHARED];
  own.users += 1;
  const folder = await own.folder;
  project.provide('quickFolder', folder);
  return async () => {
    own.users -= 1;
    if (own.users === 0) rmSync(folder, { recursive: true, force: true });
  };
}

/** Makes the folder with all packages. */
async function putPackages(redisUrl: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-quick-'));
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@umbel'), { recursive: true });
  const ours = new Set(['@umbel', ...Object.keys(OWN), ...OTHERS]);
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.') && !ours.has(name))
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  writeFileSync(join(folder, 'load.cjs'), LOADER);
  await Promise.all([
    ...Object.entries(OWN).map(([name, directory]) =>
      putOwn(join(root, 'packages', directory), join(modules, name)),
    ),
    ...OTHERS.map((name) => putOther(name, join(modules, name))),
  ]);
  keepCompiled(folder, redisUrl);
  return folder;
}

/**
 * Loads a file, from its compiled code if that is there. A process that has the variable writes the compiled code of what it
 * has loaded, with the functions that it has called.
 */
const LOADER = `const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { dirname } = require('node:path');
const { setFlagsFromString } = require('node:v8');
const { Script } = require('node:vm');
for (const flag of ${JSON.stringify(QUICK_WASM)}) setFlagsFromString(flag);
const loaded = new Map();
module.exports = function load(filename) {
  if (loaded.has(filename)) return loaded.get(filename).exports;
  const cachedData = existsSync(filename + '.compiled') ? readFileSync(filename + '.compiled') : undefined;
  const source = \`(function (exports, require, module, __filename, __dirname, __import) {\${readFileSync(filename, 'latin1')}\\n})\`;
  const script = new Script(source, { filename, cachedData });
  const own = { exports: {} };
  loaded.set(filename, own);
  own.script = script;
  script.runInThisContext()(own.exports, createRequire(filename), own, filename, dirname(filename), (name) => import(name));
  return own.exports;
};
if (process.env.UMBEL_KEEP_COMPILED) process.on('exit', () => {
  for (const [filename, { script }] of loaded) writeFileSync(filename + '.compiled', script.createCachedData());
});
`;

/** Runs a program that uses much of the packages, and keeps what it has compiled. */
function keepCompiled(folder: string, redisUrl: string): void {
  const program = join(folder, 'compile.js');
  writeFileSync(
    program,
    `import { chain, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { z } from 'zod';
const [connection] = process.argv.slice(2);
const app = createApp({ name: 'compile-' + process.pid, connection, logger: { info() {}, warn() {}, error() {} } });
const add = app.task({ name: 'add', input: z.object({ n: z.number() }), run: ({ n }) => ({ n: n + 1 }) });
const sum = app.task({ name: 'sum', input: z.array(z.object({ n: z.number() })), run: (all) => all.length });
const fail = app.task({ name: 'fail', retry: { attempts: 2, delay: 1 }, run: () => { throw new Error('expected'); } });
await app.worker({ handleSignals: false }).start();
await (await chain(add, group([add, add]), sum).delay({ n: 1 })).get();
await (await fail.delay()).get().catch(() => {});
await app.close();
const redis = new Redis(connection);
await redis.unlink(await redis.keys('umbel:{' + app.name + '}:*'));
process.exit();
`,
  );
  const env = { ...process.env, UMBEL_KEEP_COMPILED: '1' };
  execFileSync(process.execPath, [program, redisUrl], { env, timeout: 60_000 });
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
  const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as Manifest;
  const { exports = {}, bin = {}, dependencies, peerDependencies } = manifest;
  const needed = [...Object.keys(OWN), ...Object.keys({ ...dependencies, ...peerDependencies })];
  const external = needed.filter((name) => !INLINED.includes(name));
  const loaded = Object.values(exports).flatMap((entry) =>
    typeof entry !== 'string' && entry.default.endsWith('.js') ? [entry.default] : [],
  );
  if (manifest.bin !== undefined) loaded.push(PROGRAM);
  const { metafile } = await build({
    entryPoints: [...loaded, ...Object.values(bin)].map((file) => join(from, file)),
    outbase: join(from, 'dist'),
    outdir: join(to, 'dist'),
    bundle: true,
    splitting: true,
    metafile: true,
    external: [...external, `./${basename(PROGRAM)}`],
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
  if (needed.includes('vitest')) return; // which cannot be required
  const outputs = Object.values(metafile.outputs);
  const namesOf = (file: string) =>
    outputs.find(({ entryPoint = '' }) => resolve(entryPoint) === join(from, file))?.exports ?? [];
  await putBundle(
    to,
    loaded.map((file) => ({ entry: required(file), module: join(from, file), names: namesOf(file) })),
    external,
  );
  if (manifest.bin !== undefined)
    writeFileSync(join(to, PROGRAM), `export * from './${basename(required(PROGRAM))}';\n`);
  const bundled = Object.entries(exports).map(([path, entry]) => [
    path,
    typeof entry === 'string' ? entry : { ...entry, default: required(entry.default) },
  ]);
  const changed = { ...manifest, exports: Object.fromEntries(bundled) };
  writeFileSync(join(to, 'package.json'), JSON.stringify(changed));
}

const required = (file: string) => file.replace(/\.js$/, '.cjs');

interface Manifest {
  readonly exports?: Record<string, { types?: string; default: string } | string>;
  readonly bin?: Record<string, string>;
  readonly dependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
}

/** A package of others, in one file. */
async function putOther(name: string, to: string): Promise<void> {
  const from = join(root, 'node_modules', name);
  const { version, types } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')) as {
    version: string;
    types: string;
  };
  mkdirSync(to, { recursive: true });
  const external = OTHERS.filter((other) => other !== name);
  const names = Object.keys((await import(name)) as object);
  await putBundle(to, [{ entry: 'index.cjs', module: name, names }], external);
  const typesFile = join(from, types).replace(/\.d\.(c?)ts$/, '.$1js');
  writeFileSync(join(to, 'index.d.ts'), `export * from ${JSON.stringify(typesFile)};\n`);
  const exports = {
    '.': { types: './index.d.ts', default: './index.cjs' },
    './package.json': './package.json',
  };
  writeFileSync(join(to, 'package.json'), JSON.stringify({ name, version, type: 'module', exports }));
}

/** A module of a package that programs load. */
interface Entry {
  /** Its path in the package. */
  readonly entry: string;
  /** Its file or the name of its package. */
  readonly module: string;
  /** The names of its exports. */
  readonly names: readonly string[];
}

/** Puts modules into one file of a folder, `dist/bundle.cjs`, where each runs when it is first loaded. */
async function putBundle(to: string, entries: readonly Entry[], external: string[]): Promise<void> {
  const bundle = join(to, 'dist/bundle.cjs');
  const loads = entries.map(
    ({ entry, module }) => `exports[${JSON.stringify(entry)}] = () => require(${JSON.stringify(module)});`,
  );
  await build({
    stdin: { contents: loads.join('\n'), resolveDir: root },
    outfile: bundle,
    bundle: true,
    external,
    platform: 'node',
    format: 'cjs',
    define: { 'import.meta.url': '__url' },
    banner: { js: "const __url = require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'error',
  });
  // A script that is not loaded by Node itself has no `import()`.
  writeFileSync(bundle, readFileSync(bundle, 'utf8').replace(/(?<![.\w])import\(/g, '__import('));
  const loader = join(to.slice(0, to.indexOf('/node_modules/')), 'load.cjs');
  for (const { entry, names } of entries) {
    const file = join(to, entry);
    mkdirSync(dirname(file), { recursive: true });
    const [load, from, name] = [loader, bundle, entry].map((text) => JSON.stringify(text));
    // From its last line, which does nothing, `import` knows the names.
    const all = names
      .filter((each) => each !== 'default' && !/^__|\./.test(each))
      .map((each) => `${each}: _`);
    writeFileSync(
      file,
      `module.exports = require(${load})(${from})[${name}]();\n0 && (module.exports = { ${all.join(', ')} });\n`,
    );
  }
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
