/** What is published holds what was built and nothing else, needs few packages, and runs nothing when it is installed. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { describe, expect, test } from 'vitest';
import { packedFiles } from '../../../../test/support/packed.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly version: string;
  readonly description?: string;
  readonly license?: string;
  readonly keywords?: readonly string[];
  readonly homepage?: string;
  readonly bugs?: unknown;
  readonly repository?: unknown;
  readonly engines?: unknown;
  readonly sideEffects?: unknown;
  readonly publishConfig?: unknown;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { optional?: boolean }>>;
  readonly bundleDependencies?: unknown;
  readonly bin?: unknown;
  readonly gypfile?: unknown;
}

const readJson = <T>(path: string): T => JSON.parse(readFileSync(join(root, path), 'utf8')) as T;

const folders = readdirSync(join(root, 'packages')).map((name) => `packages/${name}`);
const published = folders
  .map((folder) => ({ folder, manifest: readJson<Manifest>(`${folder}/package.json`) }))
  .filter(({ manifest }) => manifest.private !== true);

/** What each package needs when it runs. One more is a decision: add it here, with its reason. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  '@umbel/core': [
    '@standard-schema/spec', // types only: what a schema is
    'bullmq', // the engine
    'cron-parser', // when a cron expression is next due; BullMQ has it anyway
    'ioredis', // connects it
    'ms', // reads '5 minutes'
    'ts-pattern', // exhaustive branches over the kinds of messages between processes
  ],
  '@umbel/canvas': [
    '@umbel/core',
    'ts-pattern', // exhaustive branches over the kinds of expressions
  ],
  '@umbel/testing': ['@umbel/canvas', '@umbel/core', 'bullmq'],
  '@umbel/dashboard': [
    '@hono/node-server', // web-standard requests from those of Node
    '@umbel/core',
    'hono', // routes and event streams; it needs nothing itself
  ],
  umbel: [
    '@clack/prompts', // asks, in `umbel init`
    'cli-table3',
    'commander', // arguments and help
    'jiti', // loads TypeScript
    'picocolors',
    'ts-pattern', // exhaustive branches over the kinds of events
  ],
};

/** What a package takes from the project that it is installed in, so that there is one copy of it. */
const SHARED: Readonly<Record<string, readonly string[]>> = {
  umbel: ['@umbel/canvas', '@umbel/core'],
};

const REPOSITORY = 'https://github.com/umbel-js/umbel';
/** Of every file of types, in bytes: one that is longer has a type that expands. */
const MOST_TYPES = 16_384;

/** The commands that a package brings. */
const COMMANDS: Readonly<Record<string, object>> = { umbel: { umbel: './dist/main.js' } };

describe.each(published)('the package in $folder', ({ folder, manifest }) => {
  test('needs the packages of the list when it runs, each in one version', () => {
    const {
      dependencies = {},
      optionalDependencies = {},
      bundleDependencies,
      peerDependencies = {},
    } = manifest;
    expect(Object.keys(dependencies).sort()).toEqual([...(ALLOWED[manifest.name] ?? [])].sort());
    expect(optionalDependencies).toEqual({});
    expect(bundleDependencies).toBeUndefined();
    for (const version of Object.values(dependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    const needed = Object.keys(peerDependencies).filter(
      (name) => !manifest.peerDependenciesMeta?.[name]?.optional,
    );
    expect(needed).toEqual(SHARED[manifest.name] ?? []);
  });

  test('says what it is, whose, and where it comes from', () => {
    expect(manifest).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      description: expect.stringMatching(/^.{20,120}$/),
      license: 'MIT',
      homepage: `${REPOSITORY}#readme`,
      bugs: { url: `${REPOSITORY}/issues` },
      repository: { type: 'git', url: `git+${REPOSITORY}.git`, directory: folder },
      engines: { node: '>=20.19' },
      publishConfig: { access: 'public' },
    });
    expect(manifest.keywords?.length).toBeGreaterThan(4);
    expect(manifest.sideEffects).toBeDefined();
    expect(published.map((each) => each.manifest.version)).toEqual(published.map(() => manifest.version));
    expect(readFileSync(join(root, 'packages/core/src/base/version.ts'), 'utf8')).toContain(
      `'${manifest.version}'`,
    );
  });

  test('runs nothing when it is installed', () => {
    const running =
      /^(?:pre|post)?(?:install|prepare|prepublish|prepublishOnly|pack|uninstall)$|^dependencies$/;
    expect(Object.keys(manifest.scripts ?? {}).filter((name) => running.test(name))).toEqual([]);
    expect(manifest.bin).toEqual(COMMANDS[manifest.name]);
    expect(manifest.gypfile).toBeUndefined();
    expect(existsSync(join(root, folder, 'binding.gyp'))).toBe(false);
  });

  test('holds what was built, its sources, licence and description, and nothing else', () => {
    const listed = execFileSync('tar', ['-tvzf', packedFiles().get(manifest.name) ?? ''], {
      encoding: 'utf8',
    });
    const files = listed
      .trim()
      .split('\n')
      .map((line) => line.split(/ +/))
      .map(([, , size, , , path = '']) => ({ path: path.replace('package/', ''), size: Number(size) }));
    const types = files.filter(({ path }) => path.endsWith('.d.ts'));
    expect(types.length).toBeGreaterThan(0);
    expect(types.filter(({ size }) => size > MOST_TYPES)).toEqual([]);
    const paths = files.map(({ path }) => path);
    expect(paths.length).toBeGreaterThan(10);
    const allowed =
      /^(?:LICENSE|README\.md|package\.json|dist\/[a-z0-9/-]+\.(?:js|js\.map|d\.ts|d\.ts\.map)|dist\/page\/(?:index\.html|assets\/[\w-]+\.(?:js|css|svg))|src\/[a-z0-9/-]+\.ts)$/;
    expect(paths.filter((path) => !allowed.test(path))).toEqual([]);
    expect(
      paths.filter((path) => /(?:^|\/)(?:test|tests|fixtures?|__tests__)\/|\.test\.|\.env/.test(path)),
    ).toEqual([]);
    const sources = paths
      .filter((path) => path.endsWith('.js') && !path.startsWith('dist/page/')) // bundled
      .map((path) => join(root, folder, path.replace(/^dist\/(.*)\.js$/, 'src/$1.ts')));
    expect(sources.filter((source) => !existsSync(source))).toEqual([]); // left of a source that is gone: npm run clean
    // Debuggers and editors (go to definition) find the source of everything.
    const maps = paths.filter((each) => each.endsWith('.map'));
    const declarations = paths.filter((path) => path.endsWith('.d.ts'));
    expect(declarations.filter((path) => !paths.includes(`${path}.map`))).toEqual([]);
    for (const path of maps) {
      const { sources } = readJson<{ sources: string[] }>(`${folder}/${path}`);
      const missing = sources
        .map((source) => join(path, '..', source))
        .filter((source) => !paths.includes(source));
      expect({ path, missing }).toEqual({ path, missing: [] });
    }
  });
});

describe.each(published)('the packed $folder', ({ manifest: { name } }) => {
  const tarball = () => readFileSync(packedFiles().get(name) ?? '');

  test('has files where its manifest says, as publint reads it', async () => {
    const { messages } = await publint({ pack: { tarball: new Uint8Array(tarball()).buffer }, strict: true });
    expect(messages).toEqual([]);
  });

  test('has types wherever it has modules, in the same format', async () => {
    const checked = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball())));
    if (checked.types === false) throw new Error('it has no types');
    expect(checked.types.kind).toBe('included');
    expect(Object.keys(checked.entrypoints).length).toBeGreaterThan(0);
    // These load no ECMAScript modules, and there is nothing else.
    const others = checked.problems.filter(
      (problem) => !('resolutionKind' in problem && /^node10$|^node16-cjs$/.test(problem.resolutionKind)),
    );
    expect(others).toEqual([]);
  });
});

describe('the repository', () => {
  test('publishes the packages of the list', () => {
    expect(published.map(({ manifest }) => manifest.name).sort()).toEqual(Object.keys(ALLOWED).sort());
  });

  test('runs nothing of its own when it is installed', () => {
    const files = ['.', ...folders, ...readdirSync(join(root, 'examples')).map((name) => `examples/${name}`)]
      .map((folder) => join(folder, 'package.json'))
      .filter((file) => existsSync(join(root, file)));
    expect(files.length).toBeGreaterThan(4);
    for (const file of files) {
      const running = Object.keys(readJson<Manifest>(file).scripts ?? {}).filter((name) =>
        /^(?:pre|post)?(?:install|prepare|prepublish)$/.test(name),
      );
      expect({ file, running }).toEqual({ file, running: [] });
    }
  });

  test('needs no package at run time that runs something when it is installed, but one of BullMQ', () => {
    const { packages } = readJson<{
      packages: Record<string, { hasInstallScript?: boolean; dev?: boolean; optional?: boolean }>;
    }>('package-lock.json');
    const running = Object.entries(packages).filter(([, entry]) => entry.hasInstallScript && !entry.dev);
    // It looks for a binary that makes msgpack faster, and does without one: `npm ci --ignore-scripts` works as well.
    expect(running.map(([path, { optional }]) => ({ path, optional }))).toEqual([
      { path: 'node_modules/msgpackr-extract', optional: true },
    ]);
  });
});
