/** Programs as bundlers make one file of them, run where no package is installed. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createApp } from '@umbel/core';
import { type BuildOptions, build } from 'esbuild';
import { type OutputOptions, rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { root } from '../support/snippets.js';

const MODULES = join(root, 'node_modules');

/** What a bundle of ECMAScript modules begins with, so that packages of CommonJS within it find Node's own modules. */
const BANNER = `
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
const require = createRequire(import.meta.url);
const __filename = fileURLToPath(import.meta.url);
const __dirname = dirname(__filename);
`;

/** Makes a bundle of a program; gives its file. */
type Bundler = (entry: string, folder: string, external?: string[]) => Promise<string>;

function byEsbuild(extension: string, { external: others = [], ...options }: BuildOptions): Bundler {
  return async (entry, folder, external = []) => {
    const outfile = join(folder, `bundle.${extension}`);
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: 'node',
      nodePaths: [MODULES],
      logLevel: 'silent',
      external: [...others, ...external],
      ...options,
    });
    return outfile;
  };
}

function byRolldown(extension: string, options: OutputOptions): Bundler {
  return async (input, dir, external = []) => {
    const bundle = await rolldown({ input, platform: 'node', resolve: { modules: [MODULES] }, external });
    await bundle.write({ dir, entryFileNames: `bundle.${extension}`, ...options });
    await bundle.close();
    return join(dir, `bundle.${extension}`);
  };
}

const COMMONJS: [name: string, bundler: Bundler][] = [
  ['esbuild, CommonJS', byEsbuild('cjs', { format: 'cjs' })],
  ['esbuild, CommonJS, minified', byEsbuild('cjs', { format: 'cjs', minify: true })],
  ['rolldown, CommonJS', byRolldown('cjs', { format: 'cjs' })],
];
const MODULE: [name: string, bundler: Bundler][] = [
  ['esbuild, ECMAScript module with a banner', byEsbuild('mjs', { format: 'esm', banner: { js: BANNER } })],
  ['rolldown, ECMAScript module', byRolldown('mjs', { format: 'esm' })],
];
const ALL = [...COMMONJS, ...MODULE];

/** All but the packages of CommonJS that need Node's own modules: those are installed beside it. */
const BESIDE_PACKAGES = byEsbuild('mjs', { format: 'esm', external: ['bullmq', 'ioredis'] });

const program = (imports: string, main: string): string => `
import { createApp, defineTask } from '@umbel/core';
import { memory } from '@umbel/testing';
${imports}
async function main() {
  ${main}
}
void main();
`;

const WORKER = program(
  `import { chain, group } from '@umbel/canvas';
import { z } from 'zod';`,
  `const app = createApp({ name: 'shop', connection: memory() });
  const add = app.task({ name: 'add', input: z.object({ x: z.number(), y: z.number() }), run: async ({ x, y }) => x + y });
  const double = app.task({ name: 'double', input: z.number(), run: async (n: number) => n * 2 });
  await app.worker().start();
  const sum = await add.delay({ x: 1, y: 2 });
  const both = await chain(add, group([double, double])).delay({ x: 1, y: 2 });
  console.log(await sum.get({ timeout: '50s' }), await both.get({ timeout: '50s' }));
  await app.close();`,
);
const SENDER = program(
  '',
  `const app = createApp({ name: process.env.APP!, connection: process.env.UMBEL_URL! });
  const greet = defineTask({ name: 'greet' });
  const { id } = await app.bind(greet).delay();
  console.log(id);
  await app.close();`,
);
const PROCESSES = program(
  '',
  `const app = createApp({ name: process.env.APP!, connection: process.env.UMBEL_URL! });
  const where = app.task({ name: 'where', run: async () => process.pid });
  const worker = app.worker({ processes: 2 });
  await worker.start();
  if (!worker.isSupervisor) return;
  console.log((await (await where.delay()).get({ timeout: '50s' })) !== process.pid);
  await app.close();`,
);
const ISOLATED = program(
  '',
  `const defined = createApp({ name: 'defined', connection: memory() });
  const hash = defined.task({ name: 'hash', isolate: import.meta.url, run: async () => process.pid });
  const implemented = createApp({ name: 'implemented', connection: memory() });
  const contract = defineTask({ name: 'sign', queue: 'slow' });
  implemented.implement(contract, async () => process.pid, { isolate: import.meta.url });
  await hash.delay();
  for (const app of [defined, implemented]) {
    await app.worker().start().catch(({ code, message }) => console.log(code, message));
  }
  const other = await implemented.worker({ queues: ['default'] }).start();
  console.log(other.state, await other.addQueue('slow').catch(({ code }) => code));
  await Promise.all([defined.close(), implemented.close()]);`,
);
const PEERS = program(
  `import { prometheusMetrics } from '@umbel/core/prometheus';
import { tracing } from '@umbel/core/opentelemetry';`,
  `const outcome = (make: () => unknown) => { try { return typeof make(); } catch (error: any) { return error.message; } };
  const app = createApp({ name: 'shop', connection: memory() });
  console.log([outcome(() => prometheusMetrics(app)), outcome(() => tracing())].join('\\n'));
  await app.close();`,
);

describe('a bundle', () => {
  let folder: string;
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis(undefined, { durable: true }); // without a log of its writes, workers would warn
    folder = mkdtempSync(join(tmpdir(), 'umbel-bundles-'));
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await redis.stop();
  });

  /** What the bundle of a program prints; fails if it fails, or complains. */
  async function output(
    source: string,
    bundler: Bundler,
    {
      external,
      env,
      installed = false,
    }: { external?: string[]; env?: NodeJS.ProcessEnv; installed?: boolean } = {},
  ): Promise<string> {
    const own = mkdtempSync(join(folder, 'bundle-'));
    const entry = join(own, 'program.ts');
    writeFileSync(entry, source);
    const file = await bundler(entry, own, external);
    if (installed) symlinkSync(MODULES, join(own, 'node_modules'));
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], {
      cwd: own,
      env: { ...process.env, NODE_PATH: '', ...env },
      timeout: 60_000,
    });
    expect(stderr).toBe('');
    return stdout;
  }

  test.each(ALL)('sends and works: %s', { timeout: 300_000 }, async (_, bundler) => {
    expect(await output(WORKER, bundler)).toBe('3 [ 6, 6 ]\n');
  });

  test('sends and works beside installed packages: esbuild, ECMAScript module', {
    timeout: 90_000,
  }, async () => {
    expect(await output(WORKER, BESIDE_PACKAGES, { installed: true })).toBe('3 [ 6, 6 ]\n');
  });

  const onRedis = (name: string) => {
    const app = createApp({
      name: `bundled-${name.replaceAll(/\W+/g, '-')}`,
      connection: redis.url,
    });
    onTestFinished(() => app.close());
    return { app, env: { APP: app.name, UMBEL_URL: redis.url } };
  };

  test.each(ALL)('sends to a worker elsewhere: %s', { timeout: 300_000 }, async (name, bundler) => {
    const { app, env } = onRedis(`sender ${name}`);
    app.task({ name: 'greet', run: async () => 'hello' });
    const id = (await output(SENDER, bundler, { env })).trim();
    await app.worker().start();
    expect(await app.result(id).get({ timeout: '50s' })).toBe('hello');
  });

  test.each(ALL)('runs its worker in several processes: %s', { timeout: 300_000 }, async (name, bundler) => {
    const { env } = onRedis(`processes ${name}`);
    expect(await output(PROCESSES, bundler, { env })).toBe('true\n');
  });

  test.each(ALL)(
    'sends isolated tasks, and says that it cannot run them: %s',
    { timeout: 90_000 },
    async (_, bundler) => {
      const [hash, sign, other, ...more] = (await output(ISOLATED, bundler)).split('\n');
      expect(hash).toMatch(
        /^CHILD_PROCESS Task "hash" is isolated, which does not work in a bundle: .* without `isolate`\.$/,
      );
      expect(sign).toMatch(/^CHILD_PROCESS Task "sign" is isolated, which does not work in a bundle/);
      expect([other, ...more]).toEqual(['running CHILD_PROCESS', '']);
    },
  );

  test.each(ALL)('holds the packages of metrics and traces: %s', { timeout: 300_000 }, async (_, bundler) => {
    expect(await output(PEERS, bundler)).toBe('object\nobject\n');
  });

  test.each(ALL)(
    'finds them where they are installed, else says which is missing: %s',
    { timeout: 90_000 },
    async (_, bundler) => {
      const external = ['prom-client', '@opentelemetry/api'];
      expect(await output(PEERS, bundler, { external, installed: true })).toBe('object\nobject\n');
      expect(await output(PEERS, bundler, { external })).toMatch(
        /^Metrics .* needs the package prom-client, .*\nTracing .* needs the package @opentelemetry\/api, .*\n$/,
      );
    },
  );
});
