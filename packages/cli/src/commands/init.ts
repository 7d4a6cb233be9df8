/** `umbel init`: adds a first task with its test to the project in this folder, or creates a project. */
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

// Detects the package manager of a project.

const MANAGERS = ['npm', 'pnpm', 'yarn', 'bun'] as const;
type PackageManager = (typeof MANAGERS)[number];

const LOCKS: Readonly<Record<string, PackageManager>> = {
  'package-lock.json': 'npm',
  'pnpm-lock.yaml': 'pnpm',
  'yarn.lock': 'yarn',
  'bun.lock': 'bun',
};

/** Returns the manager of the folder's lock file, else the one that started this program (`pnpm dlx umbel init`), else npm. */
export function packageManagerOf(folder: string, agent = process.env.npm_config_user_agent): PackageManager {
  const lock = Object.keys(LOCKS).find((name) => existsSync(join(folder, name)));
  if (lock !== undefined) return LOCKS[lock] ?? 'npm';
  return MANAGERS.find((name) => agent?.startsWith(`${name}/`)) ?? 'npm';
}

/** Returns the command line that runs a script of package.json. */
function scriptLine(manager: PackageManager, script: string): string {
  return script === 'test' ? `${manager} test` : `${manager} run ${script}`;
}

// The files that `umbel init` writes.

interface ProjectOptions {
  /** Name of the app. */
  readonly name: string;
}

/** Returns the content of each file by its path in the project. */
function templates({ name }: ProjectOptions): Readonly<Record<string, string>> {
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

// The store is UMBEL_URL, or Redis on this machine. The app connects with the first job.
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

// The result of a step must match the input of the next one, or this does not compile.
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

const SCRIPTS: Readonly<Record<string, string>> = {
  worker: 'umbel worker ./tasks.ts',
  dev: 'umbel dev ./tasks.ts',
  test: 'vitest run',
};

/** Returns the packages to install; Umbel's own have this version. */
function neededPackages(version: string): {
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

// Adds what Umbel needs to a package.json. Existing entries stay.

interface Manifest {
  readonly [field: string]: unknown;
}

interface ManifestChange {
  readonly manifest: Manifest;
  /** Existing scripts that run something else. */
  readonly keptScripts: readonly string[];
  /** The script that starts the worker. */
  readonly workerScript: string;
  readonly testScript: string;
}

/** Returns the manifest with Umbel's packages of `version`; without a manifest, a new one called `name`. */
export function withUmbel(existing: Manifest | undefined, name: string, version: string): ManifestChange {
  const manifest: Manifest = existing ?? { name, version: '0.0.0', private: true };
  const scripts = { ...recordOf(manifest.scripts) };
  const chosen: Record<string, string> = {};
  const kept: string[] = [];
  for (const [script, line] of Object.entries(SCRIPTS)) {
    const isFree =
      scripts[script] === undefined || scripts[script] === line || isPlaceholder(scripts[script]);
    if (!isFree) kept.push(script);
    const key = isFree ? script : `umbel:${script}`;
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
      dependencies: mergeSorted(manifest.dependencies, missingPackages(dependencies, present)),
      devDependencies: mergeSorted(manifest.devDependencies, missingPackages(devDependencies, present)),
    },
    keptScripts: kept,
    workerScript: chosen.worker ?? 'worker',
    testScript: chosen.test ?? 'test',
  };
}

/** Returns whether the script is the placeholder that `npm init` writes. */
function isPlaceholder(script: unknown): boolean {
  return typeof script === 'string' && script.includes('no test specified');
}

function missingPackages(
  needed: Readonly<Record<string, string>>,
  present: Readonly<Record<string, unknown>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(needed).filter(([name]) => present[name] === undefined));
}

function mergeSorted(present: unknown, more: Readonly<Record<string, string>>): Record<string, unknown> {
  const all = { ...recordOf(present), ...more };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

// Writes a first app into a folder, without overwriting files.

interface WrittenProject extends Omit<ManifestChange, 'manifest'> {
  readonly written: readonly string[];
  /** Existing files that were kept. */
  readonly kept: readonly string[];
}

/** Files that may exist already: they are kept. */
const OPTIONAL = new Set(['tsconfig.json', 'umbel.config.json']);

/** Returns a valid name of an app, made from the name of the folder. */
export function nameFrom(folder: string): string {
  return (
    basename(folder)
      .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
      .replaceAll(/^[-.]+|[-.]+$/g, '')
      .slice(0, 100) || 'app'
  );
}

/** @throws {CliError} before writing anything if a file would be overwritten. */
function writeProject(folder: string, name: string, version: string): WrittenProject {
  const files = Object.entries(templates({ name }));
  const present = files.map(([path]) => path).filter((path) => existsSync(join(folder, path)));
  const kept = present.filter((path) => OPTIONAL.has(path));
  const conflicts = present.filter((path) => !OPTIONAL.has(path));
  if (conflicts.length > 0) {
    throw new CliError({
      exitCode: EXIT.usage,
      what: `${conflicts.join(' and ')} would be overwritten.`,
      why: `The folder ${folder} already has ${conflicts.length === 1 ? 'a file of this name' : 'files of these names'}.`,
      hint: 'Nothing was written. Move the files, or use another folder.',
    });
  }
  const path = join(folder, 'package.json');
  const existing = existsSync(path) ? (parseJson(readFileSync(path, 'utf8'), path) as Manifest) : undefined;
  const { manifest, ...change } = withUmbel(existing, nameFrom(folder).toLowerCase(), version);
  const hasConfig = configFile(folder) !== undefined;
  const toWrite = files.filter(
    ([file]) => !kept.includes(file) && !(file === 'umbel.config.json' && hasConfig),
  );
  for (const [file, text] of toWrite) writeFileSync(join(folder, file), text, { flag: 'wx' });
  writeFileSync(path, `${JSON.stringify(manifest, undefined, 2)}\n`);
  return { ...change, kept, written: [...toWrite.map(([file]) => file), 'package.json'] };
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
        'Add a first task with its test to the project in this folder, or create a project: tasks.ts, tasks.test.ts, umbel.config.json, tsconfig.json, and scripts and packages in package.json. No file is overwritten.',
      )
      .addOption(new Option('-y, --yes', 'Skip the questions'))
      .addOption(new Option('--app-name <name>', 'Name of the app (default: name of the folder)'))
      .addOption(new Option('--no-install', 'Do not install the packages'));
    outputFlags(command);
    examples(command, [
      ['npx umbel init', 'ask for a name'],
      ['npx umbel init --yes --no-install', 'only write the files'],
    ]);
  },

  async run({ flags, out }) {
    const folder = resolve('.');
    const manager = packageManagerOf(folder);
    const name = await chooseName(flags, folder);
    const project = writeProject(folder, name, ownVersion());
    if (!out.isJson) for (const file of project.written) out.note(`wrote ${file}`);
    for (const script of project.keptScripts)
      out.note(`Kept the script "${script}". Umbel's script is "umbel:${script}".`);
    if (flags.install) await install(manager);
    const next = nextLines(manager, project, flags.install);
    if (out.isJson) out.document('init', { app: name, written: project.written, next });
    else {
      out.note('\nNext:');
      for (const line of next) out.data(line);
      out.note(`\nThe worker needs Redis (UMBEL_URL). Without Redis, use: ${scriptLine(manager, 'dev')}`);
    }
    return EXIT.ok;
  },
});

/** Returns the command lines to run the test and the worker. */
function nextLines(
  manager: PackageManager,
  { testScript, workerScript }: WrittenProject,
  isInstalled: boolean,
): string[] {
  const test = scriptLine(manager, testScript);
  return [isInstalled ? test : `${manager} install && ${test}`, scriptLine(manager, workerScript)];
}

async function chooseName({ appName, yes }: InitFlags, folder: string): Promise<string> {
  const defaultName = nameFrom(folder);
  const isAsked =
    appName === undefined && !yes && process.stdin.isTTY && process.stderr.isTTY && !process.env.CI;
  const name = isAsked ? await askName(defaultName) : (appName ?? defaultName);
  if (NAME.test(name)) return name;
  throw new CliError({
    exitCode: EXIT.usage,
    what: `${JSON.stringify(name)} is not a valid name of an app.`,
    why: 'Expected 1 to 100 letters, digits, "_", "." or "-".',
    hint: 'Pass another name with --app-name.',
  });
}

async function askName(defaultName: string): Promise<string> {
  const { intro, isCancel, text } = await import('@clack/prompts');
  const shown = { output: process.stderr };
  intro('umbel init', shown);
  const answer = await text({
    message: `Name of the app in ${basename(resolve('.'))}`,
    initialValue: defaultName,
    validate: (value = '') => (NAME.test(value) ? undefined : 'Letters, digits, "_", "." and "-"'),
    ...shown,
  });
  if (!isCancel(answer)) return answer;
  throw new CliError({
    exitCode: EXIT.interrupted,
    what: 'Interrupted: nothing was written.',
  });
}

/** @throws {CliError} if the package manager fails. */
async function install(manager: PackageManager): Promise<void> {
  const child = spawn(manager, ['install'], {
    stdio: ['ignore', process.stderr, process.stderr],
    shell: process.platform === 'win32', // npm is a script there
  });
  const why = await new Promise<string | undefined>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('exit', (code, signal) => done(code === 0 ? undefined : `It exited with ${signal ?? code}.`));
  });
  if (why === undefined) return;
  throw new CliError({
    exitCode: EXIT.failed,
    what: `${manager} install failed.`,
    why,
    hint: 'The files are written. Install the packages yourself.',
  });
}
