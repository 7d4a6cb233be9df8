/** `umbel migrate`, and `umbel doctor` on the same server. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { describeOnPostgres } from '../../../../test/support/on-postgres.js';
import { documents, project } from '../support/project.js';

describeOnPostgres(
  'umbel migrate',
  ({ server, client }) => {
    const newUrl = () => `${server().url}?schema=s${randomUUID().replaceAll('-', '')}`;

    test('creates the schema, and does nothing the second time', async () => {
      const { umbel } = project();
      const url = newUrl();
      const check = () => umbel(['migrate', '-b', url, '--check']);
      expect(await check()).toMatchObject({ code: 1, stdout: 'The schema has to be migrated.\n' });
      const { code, stdout } = await umbel(['migrate', '-b', url, '--json']);
      expect(code).toBe(0);
      expect(documents(stdout)[0]).toMatchObject({ kind: 'migration', state: 'old', isMigrated: true });
      expect(await check()).toMatchObject({ code: 0, stdout: 'The schema is current.\n' });
      const again = await umbel(['migrate', '-b', url]);
      expect(again).toMatchObject({ code: 0, stdout: 'The schema is current.\n' });
    });

    test('prints statements that create the schema', async () => {
      const { umbel } = project();
      const url = newUrl();
      const { code, stdout } = await umbel(['migrate', '-b', url, '--sql']);
      expect(code).toBe(0);
      expect((await umbel(['migrate', '-b', url, '--check'])).code).toBe(1); // nothing was run
      await client().query(stdout);
      expect((await umbel(['migrate', '-b', url, '--check'])).code).toBe(0);
    });

    test('refuses a schema that a newer version has migrated', async () => {
      const { umbel } = project();
      const url = newUrl();
      await umbel(['migrate', '-b', url]);
      const schema = new URL(url).searchParams.get('schema');
      await client().query(`INSERT INTO ${schema}.umbel_migration (version, bullmq_version) VALUES (99, 1)`);
      expect(await umbel(['migrate', '-b', url, '--check'])).toMatchObject({
        code: 1,
        stdout: 'The schema was migrated by a newer version of Umbel.\n',
      });
      const { code, stderr } = await umbel(['migrate', '-b', url]);
      expect(code).not.toBe(0);
      expect(stderr).toContain('was migrated by a newer version of Umbel');
    });

    test('says that another store has no schema', async () => {
      const { umbel } = project();
      const { code, stderr } = await umbel(['migrate', '-b', 'redis://127.0.0.1:1']);
      expect(code).toBe(2);
      expect(stderr).toContain('The store has no schema.');
    });

    test('umbel doctor reports the server', async () => {
      const { umbel } = project();
      const { stdout } = await umbel(['doctor', '-A', './tasks.ts', '-b', newUrl()]);
      expect(stdout).toMatch(/✓ PostgreSQL \d+/);
      expect(stdout).not.toContain('Redis');
      expect(stdout).toContain('fsync or synchronous_commit is off'); // of the server of this test
    });
  },
  { timeout: 300_000 },
);
