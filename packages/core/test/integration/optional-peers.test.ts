/** What is an optional peer is loaded by those who use it only, and missed with a word on what to do. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const core = fileURLToPath(new URL('../../', import.meta.url));
const modules = fileURLToPath(new URL('../../../../node_modules/', import.meta.url));

/** What a program prints as JSON that is run beside what was built. */
async function run(cwd: string, program: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd,
  });
  return JSON.parse(stdout);
}

const peersLoaded = `
  const { createRequire } = await import('node:module');
  const loaded = Object.keys(createRequire(process.cwd() + '/').cache);
  const has = (name) => loaded.some((file) => file.includes('/node_modules/' + name + '/'));
  console.log(JSON.stringify(['prom-client', '@opentelemetry/api', 'pg', '@electric-sql/pglite'].map(has)));
`;

test('core loads none of them', async () => {
  const use = `
    import { createApp } from '@umbel/core';
    const app = createApp({ name: 'app' });
    app.task({ name: 'task', run: async () => 1 });
    app.worker();
    await app.close();
  `;
  expect(await run(core, `${use} ${peersLoaded}`)).toEqual([false, false, false, false]);
});

test('a part of core loads the one that it is made with, once it is used', async () => {
  const parts = `
    import { createApp } from '@umbel/core';
    import { prometheusMetrics } from '@umbel/core/prometheus';
    import { tracing } from '@umbel/core/opentelemetry';
  `;
  expect(await run(core, `${parts} ${peersLoaded}`)).toEqual([false, false, false, false]);
  expect(await run(core, `${parts} tracing(); ${peersLoaded}`)).toEqual([false, true, false, false]);
  expect(await run(core, `${parts} prometheusMetrics(createApp({ name: 'app' })); ${peersLoaded}`)).toEqual([
    true,
    true, // prom-client needs it, too
    false,
    false,
  ]);
});

/** Core with what it needs, and nothing else. */
function withoutPeers(): string {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-peers-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const own = join(folder, 'node_modules/@umbel/core');
  mkdirSync(own, { recursive: true });
  for (const name of ['dist', 'package.json']) cpSync(join(core, name), join(own, name), { recursive: true });
  for (const name of ['bullmq', 'cron-parser', 'ioredis', 'ms', '@standard-schema/spec']) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(modules, name), link);
  }
  expect(readdirSync(join(folder, 'node_modules')).sort()).toEqual([
    '@standard-schema',
    '@umbel',
    'bullmq',
    'cron-parser',
    'ioredis',
    'ms',
  ]);
  return folder;
}

test('one that is not installed is named, with how to install it', async () => {
  const messages = await run(
    withoutPeers(),
    `
      import { createApp, isUmbelError } from '@umbel/core';
      import { aggregate, prometheusMetrics } from '@umbel/core/prometheus';
      import { senderContext, tracing } from '@umbel/core/opentelemetry';
      const errorOf = (use) => {
        try {
          use();
        } catch (error) {
          return [isUmbelError(error, 'MISSING_PACKAGE'), error.name, error.message];
        }
      };
      const app = createApp({ name: 'app' });
      const uses = [() => prometheusMetrics(app), () => aggregate([]), () => tracing(), () => senderContext({ headers: {} }), () => createApp({ name: 'app', connection: 'pglite:./data' })];
      console.log(JSON.stringify(uses.map(errorOf)));
    `,
  );
  const metrics =
    'Metrics (@umbel/core/prometheus) needs the package prom-client, which is not installed: npm install prom-client';
  const traces =
    'Tracing (@umbel/core/opentelemetry) needs the package @opentelemetry/api, which is not installed: npm install @opentelemetry/api';
  const pglite =
    'A connection to PGlite needs the package @electric-sql/pglite, which is not installed: npm install @electric-sql/pglite';
  expect(messages).toEqual(
    [metrics, metrics, traces, traces, pglite].map((message) => [true, 'MissingPackageError', message]),
  );
});
