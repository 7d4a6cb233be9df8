/**
 * The same program, the README's program and `umbel doctor` on each store that `UMBEL_STORES` lists, as
 * `tools/fetch-stores.sh` prints them; without it, on the one of the PATH. And the first on a cluster of the latter.
 */
import { basename, join } from 'node:path';
import { chain, chord, map } from '@umbel/canvas';
import { type Connection, createApp } from '@umbel/core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { clientOf } from '../../chaos/src/connection.js';
import { ClusterStore } from '../../chaos/src/redis/cluster.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { filesOf, root, Snippets } from '../support/snippets.js';
import { stopsOf } from '../support/walk.js';

const PROGRAMS = process.env.UMBEL_STORES?.split(':') ?? ['redis-server'];
const soon = { timeout: '50s' } as const;
/** Without it, `umbel doctor` warns, as of any store that evicts keys or loses them at a crash. */
const PRODUCTION = { durable: true, more: ['--maxmemory-policy', 'noeviction'] };

async function runProgram(connection: Connection): Promise<void> {
  const app = createApp({ name: 'stores', connection, logger: { info() {}, warn() {}, error() {} } });
  onTestFinished(() => app.close());
  const addOne = app.task({ name: 'addOne', input: z.number(), run: async (n) => n + 1 });
  const sum = app.task({
    name: 'sum',
    input: z.array(z.number()),
    run: async (list) => list.reduce((total, n) => total + n, 0),
  });
  const flaky = app.task({
    name: 'flaky',
    input: z.number(),
    retry: { attempts: 3, delay: 10 },
    run: async (n, ctx) => {
      if (ctx.attempt < 3) throw new Error('not yet');
      return n;
    },
  });
  let ticks = 0;
  const tick = app.task({
    name: 'tick',
    run: async () => {
      ticks += 1;
    },
  });
  app.schedule('ticking', { every: '1s' }, tick.si());
  await app.worker().start();

  expect(await (await addOne.delay(1)).get(soon)).toBe(2);
  expect(await (await chain(addOne, addOne, addOne).delay(1)).get(soon)).toBe(4);
  expect(await (await chord([addOne.si(1), addOne.si(2)], sum).delay()).get(soon)).toBe(5);
  const numbers = Array.from({ length: 200 }, (_, n) => n);
  expect(await (await chain(map(addOne, numbers), sum).delay()).get(soon)).toBe(20_100);
  expect(await (await flaky.delay(7)).get(soon)).toBe(7);
  const delayed = await addOne.applyAsync(1, { countdown: '1h', tags: ['later'] });
  expect(await app.revoke({ tag: 'later' })).toBe(1);
  expect((await delayed.outcome(soon)).ok).toBe(false);
  await vi.waitFor(() => expect(ticks).toBeGreaterThan(1));
  for await (const { task } of app.events({ from: 'start', types: ['retried'] })) {
    expect(task).toBe('flaky');
    break;
  }
  const { store, stuck, queued } = await app.diagnose();
  expect(store).toMatchObject({ kind: 'redis', evictionPolicy: 'noeviction' });
  expect([stuck.lost, queued.problems]).toEqual([0, []]);
}

/** What README.md shows below \`npx tsx main.ts\`. */
const README_OUTPUT = stopsOf('README.md').flatMap((stop) =>
  stop.kind === 'commands' && stop.text.includes('main.ts') ? (stop.says ?? []) : [],
);

describe.each(PROGRAMS.map((program) => ({ name: basename(program), program })))('$name', ({ program }) => {
  let server: RedisServer;
  const readme = new Snippets(`README.md on ${basename(program)}`, filesOf('README.md'), () => ({
    UMBEL_URL: server.url,
  }));

  beforeAll(async () => {
    server = await startRedis(program, PRODUCTION);
    readme.write();
  });
  afterAll(async () => {
    readme.remove();
    await server.stop();
  });

  test('calls, workflows, retries and schedules', () => runProgram(server.url));

  test('the program of the README', () => {
    expect(readme.compile()).toBe('');
    const { stdout, stderr } = readme.node('dist/main.js');
    expect({ stdout: [stdout], stderr }).toEqual({ stdout: README_OUTPUT, stderr: '' });
  });

  test('umbel doctor finds nothing to say', () => {
    const cli = join(root, 'packages/cli/dist/main.js');
    const { stdout } = readme.node(cli, 'doctor', '--app', './dist/tasks.js', '--json');
    const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: { id: string; status: string }[] };
    const noted = checks.filter(({ status }) => status !== 'ok');
    expect({ ok, noted }).toEqual({ ok: true, noted: [] });
    const expected = ['connection', 'version', 'eviction', 'persistence', 'clock', 'stuck', 'queued'];
    expect(checks.map(({ id }) => id)).toEqual(expect.arrayContaining(expected));
  });
});

test('a cluster of three servers', async () => {
  const store = await ClusterStore.start();
  onTestFinished(() => store.stop());
  const cluster = clientOf(store.connection);
  onTestFinished(() => cluster.disconnect());
  await runProgram(cluster as never);
});
