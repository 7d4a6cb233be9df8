/** Actions on all jobs of a search: preview, progress, abort, rights and the audit log. */
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { type AuditEntry, dashboard } from '../../src/index.js';
import { Client } from '../support/client.js';

const soon = { timeout: '50s' } as const;

interface Operation {
  readonly id: string;
  readonly state: string;
  readonly changed: number;
}

async function latest(client: Client): Promise<Operation | undefined> {
  return (await client.read<{ operations: Operation[] }>('/operations')).operations[0];
}

const ended = (client: Client) =>
  vi.waitFor(async () => {
    const operation = await latest(client);
    expect(operation).toHaveProperty('endedAt');
    return operation;
  }, 20_000);

onEveryEngine('an action on all jobs of a search', (engine) => {
  test('counts before, changes those that match, and says what it skipped', async () => {
    const app = engine.app();
    let isBroken = true;
    const pay = app.task({
      name: 'pay',
      input: z.number(),
      run: async (n) => {
        if (isBroken) throw new TypeError(`no ${n}`);
        return n;
      },
    });
    const entries: AuditEntry[] = [];
    let forbidden = '';
    const served = dashboard(app, {
      can: (_, action, { id }) => action !== 'job.replay' || id !== forbidden,
      onAction: (entry) => entries.push(entry),
    });
    const client = new Client(served);
    await app.worker().start();
    const paid = await pay.sendMany(Array.from({ length: 60 }, (_, n) => n));
    for (const result of paid) await result.outcome(soon);
    isBroken = false;
    forbidden = paid[3]?.id ?? '';

    const q = 'task:pay error:"no" -error:"no 7"';
    const preview = (text: string, action = 'jobs.replay') =>
      client.read(`/operations/preview?${new URLSearchParams({ action, q: text })}`);
    expect(await preview(q)).toEqual({ count: 59, isComplete: true });
    expect(await preview('task:other')).toEqual({ count: 0, isComplete: true });
    expect(await preview(q, 'jobs.revoke')).toEqual({ count: 0, isComplete: true });
    for (const [action, text] of [
      ['jobs.replay', 'state:completed'],
      ['jobs.replay', 'owner:ann'],
      ['nonsense', q],
    ] as const) {
      const query = new URLSearchParams({ action, q: text });
      expect((await client.get(`/api/operations/preview?${query}`)).status).toBe(400);
    }

    expect(await client.act('jobs.replay', { q })).toMatchObject({ state: 'collecting', user: 'developer' });
    expect(await ended(client)).toMatchObject({
      ...{ state: 'done', q, total: 59, changed: 58, skipped: 1 },
      reasons: ['You may not do that.'],
    });
    for (const [n, result] of paid.entries()) if (n !== 7 && n !== 3) expect(await result.get(soon)).toBe(n);
    expect(await paid[7]?.state()).toBe('failed');
    expect(await paid[3]?.state()).toBe('failed');
    const target = { kind: 'jobs', id: q };
    expect(entries).toMatchObject([
      { action: 'jobs.replay', target, outcome: 'done', user: 'developer' },
      {
        ...{ action: 'jobs.replay', target, outcome: 'done', user: 'developer' },
        jobs: { changed: 58, skipped: 1, isAborted: false },
      },
    ]);

    await client.act('jobs.drop', { q: 'state:completed task:pay' });
    expect(await ended(client)).toMatchObject({ state: 'done', changed: 58 });
    expect((await app.jobs.list({ state: 'completed' })).items).toEqual([]);
    const later = await Promise.all([1, 2].map((n) => pay.applyAsync(n, { countdown: '1h' })));
    await client.act('jobs.promote', { q: 'state:delayed' });
    expect(await ended(client)).toMatchObject({ changed: 2 });
    for (const result of later) await result.get(soon);
    const never = await pay.applyAsync(1, { countdown: '1h' });
    await client.act('jobs.revoke', { q: 'task:pay' });
    expect(await ended(client)).toMatchObject({ changed: 1 });
    await vi.waitFor(async () => expect(await never.state()).toBe('revoked'), 20_000);
  });

  test('is aborted by a user and by the end of the server, and refused to those who may not', async () => {
    const app = engine.app();
    const pay = app.task({ name: 'pay', input: z.number(), run: async (n) => n });
    await pay.sendMany(Array.from({ length: 120 }, (_, n) => n));
    const entries: AuditEntry[] = [];
    let hold = Promise.resolve();
    const served = dashboard(app, {
      can: async (_, action) => {
        if (action === 'job.revoke') await hold;
        return action !== 'jobs.drop';
      },
      onAction: (entry) => entries.push(entry),
    });
    const client = new Client(served);
    expect((await client.post('/api/actions/jobs.drop', { q: 'task:pay' })).status).toBe(403);
    for (const end of [(id: string) => client.act('jobs.abort', { id }), async () => served.close()]) {
      let release = (): void => {};
      hold = new Promise((resolve) => {
        release = resolve;
      });
      const { id } = await client.act<Operation>('jobs.revoke', { q: 'task:pay' });
      await vi.waitFor(async () => expect(await latest(client)).toMatchObject({ state: 'running' }), 20_000);
      await end(id);
      release();
      expect(await ended(client)).toMatchObject({ id, state: 'aborted', changed: 25 });
      expect(await client.act('jobs.abort', { id })).toEqual({ isAborted: false });
    }
    expect(entries.filter(({ jobs }) => jobs?.isAborted)).toHaveLength(2);
    expect((await app.jobs.counts()).total.waiting).toBeGreaterThan(0);
  });
});
