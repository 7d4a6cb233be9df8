/** Lists and searches on a PostgreSQL server with many jobs: their statements use indexes, and read few rows. */
import { randomUUID } from 'node:crypto';
import { chain } from '@umbel/canvas';
import { type App, createApp, type JobQuery, type PostgresPool, postgres, type RunFilter } from '@umbel/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { sized } from '../../../../test/support/length.js';
import { describeOnPostgres } from '../../../../test/support/on-postgres.js';
import { digestId } from '../../src/job/ids.js';
import { loadDriver } from '../../src/store/engine/postgres/pg-driver.js';
import { errorTerm, searchedTaskTerm } from '../../src/store/search-terms.js';

const soon = { timeout: '50s' } as const;
const JOBS = sized(20_000, 200_000);
/** Number of rows of tables and indexes that the statements of one page may read. */
const MOST_ROWS = 4000;

interface Statement {
  readonly text: string;
  readonly params: readonly unknown[];
}

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly Plan[];
}

describeOnPostgres('lists on a PostgreSQL server with many jobs', ({ server, client }) => {
  const schema = `s${randomUUID().replaceAll('-', '')}`;
  const statements: Statement[] = [];
  const ends: (() => Promise<unknown>)[] = [];
  let app: App;
  const found: Record<'rare' | 'run' | 'failed' | 'tagged', string> = {
    rare: '',
    run: '',
    failed: '',
    tagged: '',
  };

  /** A pool that collects the statements that it runs. */
  function collectingPool(): PostgresPool {
    const own = new (loadDriver().Pool)({ connectionString: server().url });
    own.on('error', () => {});
    ends.push(() => own.end());
    const known = new WeakSet<object>();
    const connect = async () => {
      const found = (await (own as unknown as PostgresPool).connect()) as Awaited<
        ReturnType<PostgresPool['connect']>
      >;
      if (known.has(found)) return found;
      known.add(found);
      const query = found.query.bind(found);
      found.query = (text: string, params?: unknown[]) => {
        statements.push({ text, params: params ?? [] });
        return query(text, params);
      };
      return found;
    };
    return { connect };
  }

  beforeAll(async () => {
    const logger = { info() {}, warn() {}, error() {} };
    const connection = postgres({ pool: collectingPool(), schema });
    app = createApp({ name: 'many', connection, logger, searchIndex: true, sendTimeout: '50s' });
    const rare = app.task({ name: 'mail.rare', input: z.number(), run: async () => null });
    const fail = app.task({
      name: 'fail',
      run: async (): Promise<null> => {
        throw Object.assign(new Error('no'), { name: 'DiskError' });
      },
    });
    const worker = app.worker({ heartbeat: false });
    await worker.start();
    const [call, tagged, failed] = [
      await rare.delay(1),
      await rare.applyAsync(2, { tags: ['acme'] }),
      await fail.delay(),
    ];
    const run = await chain(rare, rare.si(1)).named('rare').delay(0);
    for (const result of [call, tagged, failed, run]) await result.outcome(soon);
    await worker.close();
    Object.assign(found, { rare: call.id, tagged: tagged.id, failed: failed.id, run: run.id });
    await crowd();
  }, 120_000);

  afterAll(async () => {
    await app.close();
    for (const end of ends.splice(0).reverse()) await end();
  });

  /** Adds jobs of another task in all states, with their entries in the index, and runs. */
  async function crowd(): Promise<void> {
    const queue = `umbel:{many}:default`;
    const terms = [searchedTaskTerm('other') ?? '', errorTerm('OtherError')].map((term) =>
      digestId(term, 32),
    );
    await client().query(`SET search_path TO ${schema}`);
    await client().query(
      `INSERT INTO job (queue, id, seq, name, state, data, added_at_ms, finished_at_ms, process_at_ms)
        SELECT CASE WHEN n % 10 = 9 THEN 'umbel:{many}:umbel' ELSE $2 END, 'j' || n, 1000 + n,
          CASE WHEN n % 10 = 9 THEN 'umbel.join' ELSE 'other' END,
          (CASE n % 10 WHEN 0 THEN 'failed' WHEN 1 THEN 'waiting' WHEN 2 THEN 'delayed' ELSE 'completed' END)::job_state,
          '{"umbel:text": "{\\"umbel\\":1,\\"input\\":1}"}', n, CASE WHEN n % 10 NOT IN (1, 2) THEN n END,
          CASE WHEN n % 10 = 2 THEN 4102444800000 + n END
        FROM generate_series(1, $1::integer) AS n`,
      [JOBS, queue],
    );
    await client().query(
      `INSERT INTO umbel_tag (index_queue, tag, at, queue, id)
        SELECT 'umbel:{many}:umbel.tags', term, n, 'default', 'j' || n
        FROM generate_series(1, $1::integer) AS n, unnest($2::text[]) AS term`,
      [JOBS, terms],
    );
    await client().query('ANALYZE');
  }

  const rowsOf = (plan: Plan): number =>
    plan['Actual Loops'] *
    (plan['Actual Rows'] +
      (plan['Rows Removed by Filter'] ?? 0) +
      (plan['Rows Removed by Index Recheck'] ?? 0));

  /** Returns the scans of the plans of the statements that were run since the last call. */
  async function scans(): Promise<{ plans: readonly Plan[]; rows: number }> {
    const plans: Plan[] = [];
    const collect = (plan: Plan): void => {
      if (plan['Relation Name'] !== undefined) plans.push(plan);
      for (const below of plan.Plans ?? []) collect(below);
    };
    for (const { text, params } of statements.splice(0)) {
      if (!text.trimStart().startsWith('SELECT')) continue;
      const { rows } = await client().query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, [...params]);
      collect((rows[0] as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan);
    }
    return { plans, rows: plans.reduce((sum, plan) => sum + rowsOf(plan), 0) };
  }

  /** The planner may read a table from its start, where it expects what a limit asks for: so rows are counted. */
  async function expectFewRows(): Promise<void> {
    const { plans, rows } = await scans();
    expect(plans.length).toBeGreaterThan(0);
    expect(rows).toBeLessThan(MOST_ROWS);
  }

  const middle = new Date(JOBS / 2);

  test.each<[string, JobQuery, number]>([
    ['any job', {}, 50],
    ['failed jobs', { state: 'failed' }, 50],
    ['completed jobs', { state: 'completed' }, 50],
    ['completed jobs before a moment', { state: 'completed', until: middle }, 50],
    ['waiting jobs', { state: 'waiting' }, 50],
    ['delayed jobs', { state: 'delayed' }, 50],
    ['jobs of a common task', { task: 'other' }, 50],
    ['jobs of a rare task', { task: 'mail.rare' }, 4],
    ['jobs of a group of tasks', { task: 'mail.*' }, 4],
    ['jobs with an error', { error: 'Disk' }, 1],
    ['jobs with an error in a state', { error: 'DiskError', state: 'failed' }, 1],
    ['jobs with a tag', { tag: 'acme' }, 1],
  ])('finds %s', async (_, query, count) => {
    statements.length = 0;
    const page = await app.jobs.list(query);
    expect(page.items).toHaveLength(count);
    await expectFewRows();
  });

  test('finds what is rare, and no other', async () => {
    const ids = async (query: JobQuery) => (await app.jobs.list(query)).items.map(({ id }) => id);
    expect(await ids({ error: 'Disk' })).toEqual([found.failed]);
    expect(await ids({ tag: 'acme' })).toEqual([found.tagged]);
    expect(await ids({ task: 'mail.rare' })).toContain(found.rare);
  });

  test('finds a later page of ended jobs by the end of the last one', async () => {
    const ids: string[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < 4; page += 1) {
      statements.length = 0;
      const { items, cursor: next } = await app.jobs.list({ state: 'completed', until: middle, cursor });
      ids.push(...items.map(({ id }) => id));
      cursor = next;
      await expectFewRows();
    }
    const numbers = Array.from({ length: JOBS / 2 }, (_, n) => n).filter((n) => n % 10 > 2 && n % 10 !== 9);
    expect(ids).toEqual(
      numbers
        .toReversed()
        .slice(0, 200)
        .map((n) => `j${n}`),
    );
  });

  test.each<[string, RunFilter, number]>([
    ['any run', {}, 50],
    ['runs of a task', { task: 'mail.rare' }, 1],
  ])('finds %s', async (_, filter, most) => {
    statements.length = 0;
    const { items } = await app.runs.list(filter);
    expect(items.map(({ id }) => id)).toContain(found.run);
    expect(items.length).toBeLessThanOrEqual(most);
    await expectFewRows();
  });
});
