/** Commands of operators on a PostgreSQL server: what runs there, and what `umbel doctor` says about the server. */
import { chain, group } from '@umbel/canvas';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { describeOnPostgres } from '../../../../test/support/on-postgres.js';
import { startPostgres } from '../../../../test/support/postgres-server.js';
import { documents, project } from '../support/project.js';

const soon = { timeout: '50s' } as const;

interface Check {
  readonly id: string;
  readonly status: string;
  readonly message: string;
  readonly hint?: string;
}

/** The checks of the server among those of a document of `umbel doctor`. */
function serverChecks(stdout: string): Record<string, Omit<Check, 'id'>> {
  const ids = ['version', 'durability', 'autovacuum', 'connections', 'transactions'];
  const { checks } = documents(stdout)[0] as { checks: readonly Check[] };
  return Object.fromEntries(checks.filter(({ id }) => ids.includes(id)).map(({ id, ...rest }) => [id, rest]));
}

describeOnPostgres(
  'commands on PostgreSQL',
  ({ programs, server, newClient }) => {
    test('show workers, queues, jobs and runs', async () => {
      const own = project();
      const url = `${server().url}?schema=commands`;
      const app = own.app({ connection: url, logger: { info() {}, warn() {}, error() {} } });
      const add = app.task({
        name: 'add',
        input: z.object({ a: z.number() }),
        run: ({ a }) => {
          if (a < 0) throw new RangeError(`negative: ${a}`);
          return { a: a + 1 };
        },
      });
      const total = app.task({ name: 'total', input: z.array(z.unknown()), run: (all) => all.length });
      await app.worker({ name: 'w1', handleSignals: false }).start();
      const run = await chain(group([1, 2].map((a) => add.s({ a }))), total).delay();
      await run.get(soon);
      const bad = await chain(group([-1, 2].map((a) => add.s({ a }))), total).delay();
      expect((await bad.outcome(soon)).ok).toBe(false);
      const later = await add.applyAsync({ a: 1 }, { countdown: '1h' });
      const json = async (...args: string[]) => {
        const { stdout } = await own.umbel([...args, '--name', own.name, '-b', url, '--json']);
        return documents(stdout)[0];
      };
      expect(await json('status')).toMatchObject({
        workers: { online: 1, missing: 0 },
        queues: [{ name: 'default', counts: { delayed: 1 } }],
      });
      expect(await json('top')).toMatchObject({
        kind: 'top',
        workers: [{ name: 'w1' }],
        queues: [{ name: 'default' }],
      });
      expect(await json('runs', 'list')).toMatchObject({
        runs: [
          { id: bad.id, state: 'failed' },
          { id: run.id, state: 'completed' },
        ],
      });
      expect(await json('runs', 'show', bad.id)).toMatchObject({
        run: { error: { message: 'negative: -1' } },
      });
      expect(await json('jobs', 'list', '--state', 'delayed')).toMatchObject({ jobs: [{ id: later.id }] });
      expect(await json('jobs', 'list', '--state', 'failed')).toMatchObject({
        jobs: expect.arrayContaining([expect.objectContaining({ task: 'add', state: 'failed' })]),
      });
      expect(await json('doctor')).toMatchObject({ ok: true });
    });

    test('doctor finds no fault with a server that is set up well, and warns of one that is not', async () => {
      const own = project();
      const doctor = async (url: string) =>
        serverChecks((await own.umbel(['doctor', '--name', own.name, '-b', url, '--json'])).stdout);
      const { version, ...safe } = await doctor(`${server().url}?schema=commands`);
      expect(version).toMatchObject({ status: 'ok', message: expect.stringMatching(/^PostgreSQL \d+/) });
      expect(safe).toMatchObject({
        durability: {
          status: 'warning',
          message: 'fsync or synchronous_commit is off',
          hint: 'PostgreSQL loses its last changes when its server crashes. Set both to on.',
        },
        autovacuum: { status: 'ok', message: 'autovacuum is on' },
        connections: { status: 'ok', message: expect.stringMatching(/^\d+ of 300 connections are in use$/) },
        transactions: { status: 'ok', message: 'no transaction has been open for long' },
      });
      const strained = await startPostgres(programs, {
        durable: true,
        settings: { max_connections: '10', autovacuum: 'off' },
      });
      onTestFinished(() => strained.stop());
      const holders = Array.from({ length: 7 }, () => newClient(strained.url));
      await Promise.all(holders.map((holder) => holder.connect()));
      onTestFinished(async () => void (await Promise.all(holders.map((holder) => holder.end()))));
      expect(await doctor(strained.url)).toMatchObject({
        durability: { status: 'ok', message: 'fsync and synchronous_commit are on' },
        autovacuum: {
          status: 'warning',
          message: 'autovacuum is off',
          hint: expect.stringContaining('Set autovacuum to on.'),
        },
        connections: {
          status: 'warning',
          message: expect.stringMatching(/^([89]|10) of 10 connections are in use$/),
          hint: 'Raise max_connections, or lower `pool` in the URLs: a process needs at most pool + 1.',
        },
      });
    });

    test('doctor warns of a transaction that stays open, and refuses an old server', async () => {
      const { umbel, write } = project();
      // No test waits for a minute, or has a server of that age: what the server reports is changed.
      write(
        'old.mjs',
        "import { app } from './tasks.mjs';\nconst diagnose = app.diagnose.bind(app);\napp.diagnose = async (options) => { const found = await diagnose(options); return { ...found, store: { ...found.store, version: '12.9', oldestTransactionMs: 125_000 } }; };\nexport { app };\n",
      );
      const { code, stdout } = await umbel(['doctor', '-A', './old.mjs', '--json'], {
        env: { UMBEL_URL: `${server().url}?schema=commands` },
      });
      expect(code).toBe(1);
      expect(serverChecks(stdout.slice(stdout.indexOf('{')))).toMatchObject({
        version: { status: 'error', hint: 'Workers need PostgreSQL 13 or newer.' },
        transactions: {
          status: 'warning',
          message: 'a transaction has been open for 2m05s',
          hint: expect.stringContaining('Find it in pg_stat_activity'),
        },
      });
    });
  },
  { timeout: 300_000 },
);
