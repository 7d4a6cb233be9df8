import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Option } from 'commander';
import { defineCommand } from '../command.js';
import { configFile } from '../config.js';
import { CliError, EXIT } from '../errors.js';
import { examples, type OutputFlags, outputFlags } from '../flags.js';
import { parseJson } from '../input.js';
import { ownVersion } from '../start.js';

// Which package manager a project uses.

const MANAGERS = ['npm', 'pnpm', 'yarn', 'bun'] as const;
export type PackageManager = (typeof MANAGERS)[number];

const LOCKS: Readonly<Record<string, PackageManager>> = {
  'package-lock.json': 'npm',
  'pnpm-lock.yaml': 'pnpm',
  'yarn.lock': 'yarn',
  'bun.lock': 'bun',
};

/** By the lock file of the folder, else by what has started this program (`pnpm dlx umbel init`), else npm. */
export function packageManagerOf(folder: string, agent = process.env.npm_config_user_agent): PackageManager {
  const lock = Object.keys(LOCKS).find((name) => existsSync(join(folder, name)));
  if (lock !== undefined) return LOCKS[lock] ?? 'npm';
  return MANAGERS.find((name) => agent?.startsWith(`${name}/`)) ?? 'npm';
}

/** How a script of package.json is run. */
export function scriptLine(manager: PackageManager, script: string): string {
  return script === 'test' ? `${manager} test` : `${manager} run ${script}`;
}

/** The files that `umbel init` writes. */

export interface ProjectFacts {
  /** Of the app. */
  readonly name: string;
}

/** By their path in the project. */
export function templates({ name }: ProjectFacts): Readonly<Record<string, string>> {
  return {
    'tasks.ts': tasks(name),
    'tasks.test.ts': TEST,
    'umbel.config.json': `${JSON.stringify({ app: './tasks.ts' }, undefined, 2)}\n`,
    'tsconfig.json': `${JSON.stringify(TSCONFIG, undefined, 2)}\n`,
  };
}

const tasks = (name: string) => `import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { z } from 'zod';

// Its store: UMBEL_URL, else a Redis on this machine. Nothing connects before the first call.
export const app = createApp({ name: '${name}' });

export const greet = app.task({
  name: 'greet',
  input: z.object({ name: z.string() }),
  retry: { attempts: 3, delay: '1s' },
  run: async ({ name }) => ({ text: \`Hello, \${name}!\` }),
});

export const shout = app.task({
  name: 'shout',
  input: z.object({ text: z.string() }),
  run: async ({ text }) => text.toUpperCase(),
});

// What a step gives must fit what the next one needs, or it does not compile.
export const welcome = chain(greet, shout);
`;

const TEST = `import { testApp } from '@umbel/testing/vitest';
import { expect, test } from 'vitest';
import { app, greet, shout, welcome } from './tasks.js';

test('a greeting is shouted', async () => {
  const t = await testApp(app); // in memory, in virtual time
  t.fake(shout, ({ text }) => \`\${text}!!\`);
  expect(await t.run(welcome, { name: 'Ada' })).toBe('Hello, Ada!!!');
  expect(t).toHaveRun(greet, { times: 1 });
});
`;

const TSCONFIG = {
  compilerOptions: {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
  },
  include: ['*.ts'],
};

export const SCRIPTS: Readonly<Record<string, string>> = {
  worker: 'umbel worker ./tasks.ts',
  dev: 'umbel dev ./tasks.ts',
  test: 'vitest run',
};

/** Umbel's own are of the version of this program. */
export function neededPackages(version: string): {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
} {
  return {
    dependencies: { '@umbel/canvas': version, '@umbel/core': version, umbel: version, zod: '^4.6.7' },
    devDependencies: {
      '@types/node': '^20.19.43',
      '@umbel/testing': version,
      typescript: '^7.0.2',
      vitest: '^4.1.12',
    },
  };
}

// The package.json of a project with what Umbel needs added; what is there stays.

export interface Manifest {
  readonly [field: string]: unknown;
}

export interface ManifestChange {
  readonly manifest: Manifest;
  /** Scripts that were there before, and do something else. */
  readonly keptScripts: readonly string[];
  /** The script that starts the worker. */
  readonly workerScript: string;
  readonly testScript: string;
}

/** Packages are those of `version`; without a manifest, a new one of `name`. */
export function withUmbel(given: Manifest | undefined, name: string, version: string): ManifestChange {
  const manifest: Manifest = given ?? { name, version: '0.0.0', private: true };
  const scripts = { ...recordOf(manifest.scripts) };
  const chosen: Record<string, string> = {};
  const kept: string[] = [];
  for (const [script, line] of Object.entries(SCRIPTS)) {
    const isOwn = scripts[script] === undefined || scripts[script] === line || isPlaceholder(scripts[script]);
    if (!isOwn) kept.push(script);
    const key = isOwn ? script : `umbel:${script}`;
    scripts[key] = line;
    chosen[script] = key;
  }
  const { dependencies, devDependencies } = neededPackages(version);
  const present = { ...recordOf(manifest.dependencies), ...recordOf(manifest.devDependencies) };
  return {
    manifest: {
      ...manifest,
      type: manifest.type ?? 'module',
      scripts,
      dependencies: merged(manifest.dependencies, missing(dependencies, present)),
      devDependencies: merged(manifest.devDependencies, missing(devDependencies, present)),
    },
    keptScripts: kept,
    workerScript: chosen.worker ?? 'worker',
    testScript: chosen.test ?? 'test',
  };
}

/** What `npm init` writes. */
function isPlaceholder(script: unknown): boolean {
  return typeof script === 'string' && script.includes('no test specified');
}

function missing(
  needed: Readonly<Record<string, string>>,
  present: Readonly<Record<string, unknown>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(needed).filter(([name]) => present[name] === undefined));
}

function merged(present: unknown, more: Readonly<Record<string, string>>): Record<string, unknown> {
  const all = { ...recordOf(present), ...more };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

// Writes a first app into a folder. Nothing that is there is written over.

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

type InitFlags = OutputFlags & {
  readonly yes?: boolean;
  readonly appName?: string;
  readonly install: boolean;
};

const NAME = /^[A-Za-z0-9_.-]{1,100}$/;

export default defineCommand<InitFlags>({
  define(command) {
    command
      .description(
        'Adds a first task, its test and what runs them to the project in this folder, or makes a new one: tasks.ts, tasks.test.ts, umbel.config.json, tsconfig.json, and scripts and packages in package.json. Nothing is written over.',
      )
      .addOption(new Option('-y, --yes', 'ask nothing'))
      .addOption(new Option('--app-name <name>', 'name of the app (default: that of the folder)'))
      .addOption(new Option('--no-install', 'leave the packages to be installed by hand'));
    outputFlags(command);
    examples(command, [
      ['npx umbel init', 'asks for a name'],
      ['npx umbel init --yes --no-install', 'writes the files only'],
    ]);
  },

  async run({ flags, out }) {
    const folder = resolve('.');
    const manager = packageManagerOf(folder);
    const name = await chosenName(flags, folder);
    const project = writeProject(folder, name, ownVersion());
    if (!out.isJson) for (const file of project.written) out.note(`wrote ${file}`);
    for (const script of project.keptScripts)
      out.note(`The script "${script}" stays as it is; Umbel's is "umbel:${script}".`);
    if (flags.install) await install(manager);
    const next = nextLines(manager, project, flags.install);
    if (out.isJson) out.document('init', { app: name, written: project.written, next });
    else {
      out.note('\nNow:');
      for (const line of next) out.data(line);
      out.note(`\nThe worker needs a Redis (UMBEL_URL); without one: ${scriptLine(manager, 'dev')}`);
    }
    return EXIT.ok;
  },
});

/** The two commands that show that it works. */
function nextLines(
  manager: PackageManager,
  { testScript, workerScript }: WrittenProject,
  isInstalled: boolean,
): string[] {
  const test = scriptLine(manager, testScript);
  return [isInstalled ? test : `${manager} install && ${test}`, scriptLine(manager, workerScript)];
}

async function chosenName({ appName, yes }: InitFlags, folder: string): Promise<string> {
  const usual = nameFrom(folder);
  const isAsked =
    appName === undefined && !yes && process.stdin.isTTY && process.stderr.isTTY && !process.env.CI;
  const name = isAsked ? await askedName(usual) : (appName ?? usual);
  if (NAME.test(name)) return name;
  throw new CliError({
    exitCode: EXIT.usage,
    what: `An app cannot be called ${JSON.stringify(name)}.`,
    why: 'Expected 1 to 100 letters, digits, "_", "." or "-".',
    hint: 'Choose another one: --app-name',
  });
}

async function askedName(usual: string): Promise<string> {
  const { intro, isCancel, text } = await import('@clack/prompts');
  const shown = { output: process.stderr };
  intro('umbel init', shown);
  const answer = await text({
    message: `Name of the app in ${basename(resolve('.'))}`,
    initialValue: usual,
    validate: (value = '') => (NAME.test(value) ? undefined : 'Letters, digits, "_", "." and "-"'),
    ...shown,
  });
  if (!isCancel(answer)) return answer;
  throw new CliError({
    exitCode: EXIT.interrupted,
    what: 'Nothing was written.',
  });
}

/** @throws {CliError} if the package manager fails. */
async function install(manager: PackageManager): Promise<void> {
  const child = spawn(manager, ['install'], {
    stdio: ['ignore', process.stderr, process.stderr],
    shell: process.platform === 'win32', // where it is a script
  });
  const why = await new Promise<string | undefined>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('exit', (code, signal) => done(code === 0 ? undefined : `It ended with ${signal ?? code}.`));
  });
  if (why === undefined) return;
  throw new CliError({
    exitCode: EXIT.failed,
    what: `${manager} install has failed.`,
    why,
    hint: 'The files are written. Install the packages by hand.',
  });
}
