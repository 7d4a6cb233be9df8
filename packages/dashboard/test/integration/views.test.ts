/** What the page reads, and the actions that it sends, on every engine. */
import { chain, group } from '@umbel/canvas';
import type { RunGraphJson } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { type RateLimit, rateTextOf } from '../../page/src/parts/rate.js';
import { dashboard } from '../../src/index.js';
import { Client } from '../support/client.js';
import { SECRET, withDemo } from '../support/demo.js';

const soon = { timeout: '50s' } as const;
const quiet = { onAction: () => {} };

interface Listed {
  readonly items: readonly { readonly id: string }[];
  readonly cursor?: string;
}

onEveryEngine('the dashboard', (engine) => {
  test('lists what matches a search, and describes runs and jobs', async () => {
    const app = engine.app();
    await withDemo(app, async (ids) => {
      const client = new Client(dashboard(app, quiet));
      const found = async (q: string, kind = 'jobs') => {
        const ids: string[] = [];
        // On a busy machine an answer may end before it has searched all.
        for (let cursor: string | undefined = ''; cursor !== undefined; ) {
          const page: Listed = await client.read(`/list/${kind}?${new URLSearchParams({ q, cursor })}`);
          ids.push(...page.items.map(({ id }) => id));
          cursor = page.cursor;
        }
        return ids.sort();
      };
      const sorted = (...all: string[]) => all.sort();
      expect(await found('state:active')).toEqual([ids.active]);
      expect(await found('state:retrying')).toEqual([ids.retrying]);
      expect(await found('state:late')).toEqual([]);
      expect(await found('state:stuck', 'runs')).toEqual([]);
      expect(await client.read('/conditions')).toEqual({
        retrying: { count: 1, isComplete: true },
        late: { count: 0, isComplete: true },
        stuck: { count: 0, isComplete: true },
      });
      expect(await found('state:delayed -state:retrying')).toEqual(sorted(ids.delayed, ids.unserved));
      expect(await found('tag:customer-3')).toEqual([ids.delayed]);
      expect(await found('tag:customer-*')).toEqual([ids.delayed]);
      expect(await found('task:mail.* queue:mail')).toEqual([ids.retrying]);
      expect(await found('task:mail.send task:legacy.*')).toEqual(sorted(ids.retrying, ids.unserved));
      expect(await found('state:completed task:order.charge')).toEqual([ids.charged]);
      expect(await found('error:"costs nothing" -error:o-9 task:order.charge state:failed')).toHaveLength(2);
      expect(await found(`id:${ids.charged.slice(0, 12)}`)).toEqual([ids.charged]);
      expect(await found('state:completed after:1d task:order.*')).toEqual([ids.charged]);
      expect(await found('before:2001-01-01')).toEqual([]);
      expect(await found('LEGACY')).toEqual([ids.unserved]);
      expect(await found('state:failed', 'runs')).toEqual([ids.broken]);
      expect(await found('tag:album-7', 'runs')).toEqual([ids.album]);
      expect(await found('task:x', 'runs')).toEqual([]);
      expect(await found('task:word.*', 'runs')).toEqual([ids.words]);
      expect(await found('task:image.resize state:completed', 'runs')).toEqual([ids.album]);
      for (const q of ['-task:word.count', 'task:*.count', 'task:a task:b'])
        expect((await client.get(`/api/list/runs?q=${encodeURIComponent(q)}`)).status).toBe(400);
      for (const wrong of ['state:nonsense', 'owner:ann', 'after:yesterday'])
        expect((await client.get(`/api/list/jobs?q=${encodeURIComponent(wrong)}`)).status).toBe(400);
      expect((await client.get('/api/list/jobs?cursor=nonsense')).status).toBe(400);

      expect(await client.read(`/jobs/${ids.charged}`)).toMatchObject({
        state: 'completed',
        task: 'order.charge',
        input: { isCut: false, isMasked: false, json: expect.stringContaining('"o-2"') },
        output: { json: expect.stringContaining('990') },
      });
      const failed = await (await client.get(`/api/jobs/${ids.failed}`)).text();
      expect(failed).not.toContain(SECRET);
      expect(JSON.parse(failed)).toMatchObject({ input: { isMasked: true }, error: { name: 'RangeError' } });
      expect(await (await client.get('/api/dead-letters')).text()).not.toContain(SECRET);
      expect(await client.read(`/jobs/${ids.retrying}`)).toMatchObject({ waitReason: { kind: 'retry' } });
      const run = await client.read<{ graph: { nodes: { label: string; count?: number }[] } }>(
        `/runs/${ids.words}`,
      );
      expect(run.graph.nodes.map(({ label, count }) => [label, count])).toEqual([
        ['word.count', 60],
        ['word.total', undefined],
      ]);
      expect(await (await client.get(`/api/runs/${ids.words}/graph/mmd`)).text()).toContain('flowchart LR');
      expect((await client.get('/api/jobs/missing')).status).toBe(404);
      expect((await client.get('/api/runs/missing')).status).toBe(404);
    });
  });

  test('pages through more jobs than one answer has, each once', async () => {
    const app = engine.app();
    const add = app.task({ name: 'add', input: z.number(), run: async (n) => n });
    const sent = await add.sendMany(Array.from({ length: 130 }, (_, n) => n));
    const client = new Client(dashboard(app, quiet));
    // Two hours ago is another moment for each answer.
    for (const q of ['state:waiting', 'state:waiting task:a*', 'after:2h', 'after:2h before:0s task:add']) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const seen: string[] = [];
      let cursor: string | undefined = '';
      while (cursor !== undefined) {
        const query = new URLSearchParams({ q, cursor });
        const page: Listed = await client.read(`/list/jobs?${query}`);
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.cursor;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect(seen.sort()).toEqual(sent.map(({ id }) => id).sort());
    }
  });

  test('lists the jobs of each folded node by themselves, and when they ran', async () => {
    const app = engine.app();
    const one = app.task({ name: 'one', input: z.number(), run: async (n) => n });
    await app.worker().start();
    const numbers = Array.from({ length: 60 }, (_, n) => n);
    const run = await chain(
      group(numbers.map((n) => chain(one.si(n), one.si(n)))),
      one.si(0),
      group(numbers.slice(0, 30).map((n) => one.si(n))),
    ).delay();
    await run.get(soon);
    const client = new Client(dashboard(app, quiet));
    const { graph } = await client.read<{ graph: RunGraphJson }>(`/runs/${run.id}`);
    const folded = graph.nodes.filter(({ count }) => count !== undefined);
    expect(folded.map(({ id, count }) => [id.slice(run.id.length), count])).toEqual([
      ['.0-0.*-0', 60],
      ['.0-0.*', 60],
      ['.0.*', 30],
    ]);
    for (const { id, count, startedAt, finishedAt } of folded) {
      expect(Date.parse(startedAt ?? '')).toBeLessThanOrEqual(Date.parse(finishedAt ?? ''));
      const found: string[] = [];
      let cursor: string | undefined = '';
      while (cursor !== undefined) {
        const query = new URLSearchParams({ node: id, task: 'one', cursor });
        const page: Listed = await client.read(`/runs/${run.id}/members?${query}`);
        found.push(...page.items.map((item) => item.id));
        cursor = page.cursor;
      }
      const indexes = Array.from({ length: count ?? 0 }, (_, index) => id.replace('*', String(index)));
      expect(found.sort()).toEqual(indexes.sort());
    }
    for (const node of ['', `${run.id}.0-1`, 'other.*', `${run.id}${'*'.repeat(2000)}`])
      expect((await client.get(`/api/runs/${run.id}/members?node=${node}`)).status).toBe(400);
  });

  test('carries out each action on a job', async () => {
    const app = engine.app();
    const charge = app.task({
      name: 'charge',
      input: z.object({ cents: z.number() }),
      run: async ({ cents }) => {
        if (cents <= 0) throw new Error('nothing to pay');
        return cents;
      },
    });
    const client = new Client(dashboard(app, quiet));
    await app.worker().start();
    const failed = await charge.delay({ cents: 0 });
    await failed.outcome(soon);
    const wrong = await client.post('/api/actions/job.replay', { id: failed.id, input: { cents: 'ten' } });
    expect(wrong.status).toBe(422);
    expect(await wrong.json()).toMatchObject({
      error: { issues: [{ path: expect.stringContaining('cents') }] },
    });
    await client.act('job.replay', { id: failed.id, input: { cents: 10 } });
    expect(await failed.get(soon)).toBe(10);
    expect((await client.post('/api/actions/job.replay', { id: failed.id })).status).toBe(409);
    await client.act('job.drop', { id: failed.id });
    expect((await client.get(`/api/jobs/${failed.id}`)).status).toBe(404);
    const later = await charge.applyAsync({ cents: 5 }, { countdown: '2h' });
    expect(await client.act('job.promote', { id: later.id })).toEqual({ isPromoted: true });
    expect(await later.get(soon)).toBe(5);
    const never = await charge.applyAsync({ cents: 5 }, { countdown: '2h' });
    expect(await client.act('job.revoke', { id: never.id })).toEqual({ isRevoked: true });
    await never.outcome(soon);
    expect(await never.state()).toBe('revoked');
    const { id } = await client.act<{ id: string }>('task.send', { id: 'charge', input: { cents: 7 } });
    expect(await app.result(id).get(soon)).toBe(7);
    expect((await client.post('/api/actions/task.send', { id: 'charge', input: {} })).status).toBe(422);
    for (const body of [{}, { id: '' }, { id: 7 }])
      expect((await client.post('/api/actions/job.revoke', body)).status).toBe(400);
  });

  test('shows how many failed jobs a bulk action changes before it does', async () => {
    const app = engine.app();
    const bad = app.task({
      name: 'bad',
      run: async (): Promise<null> => {
        throw new TypeError('no');
      },
    });
    const client = new Client(dashboard(app, quiet));
    await app.worker().start();
    for (const result of await Promise.all([bad.delay(), bad.delay(), bad.delay()]))
      await result.outcome(soon);
    const { groups } = await client.read<{ groups: { id: string }[] }>('/error-groups?task=bad');
    expect(groups).toMatchObject([{ name: 'TypeError', count: 3, tasks: ['bad'] }]);
    const { letters } = await client.read<{ letters: object[] }>(`/dead-letters?group=${groups[0]?.id}`);
    expect(letters).toHaveLength(3);
    expect(await client.read('/dead-letters?group=other')).toEqual({ letters: [] });
    const filter = { error: 'TypeError', group: groups[0]?.id };
    expect(await client.act('dead-letters.replay', { filter, dryRun: true })).toMatchObject({ replayed: 3 });
    expect(await client.act('dead-letters.discard', { filter: { task: 'other' } })).toMatchObject({
      discarded: 0,
    });
    expect((await app.deadLetters.list()).length).toBe(3);
    expect(await client.act('dead-letters.discard', { filter })).toMatchObject({ discarded: 3 });
    expect(await client.read('/dead-letters')).toEqual({ letters: [] });
  });

  test('resumes, wakes and signals runs', async () => {
    const app = engine.app();
    await withDemo(app, async (ids) => {
      const client = new Client(dashboard(app, quiet));
      const inputs = { '0-1': { order: 'o-1', cents: 5 } };
      expect(await client.act('run.resume', { id: ids.broken, inputs })).toMatchObject({
        jobs: expect.any(Number),
      });
      expect((await app.result(ids.broken).outcome(soon)).ok).toBe(true);
      expect(await client.act('run.wake', { id: ids.asleep })).toEqual({ waits: 1 });
      await app.result(ids.asleep).get(soon);
      const { items } = await client.read<{ items: { name: string; key: string; schema: object }[] }>(
        '/signals',
      );
      expect(items).toMatchObject([{ name: 'report.approved', key: 'r-17', schema: { type: 'object' } }]);
      const [{ name, key }] = items as unknown as [{ name: string; key: string }];
      expect((await client.post('/api/actions/signal.send', { id: name, key, payload: {} })).status).toBe(
        422,
      );
      await client.act('signal.send', { id: name, key, payload: { by: 'ann', ok: true } });
      await app.result(ids.approval).get(soon);
    });
  });

  test('describes and changes queues, workers and schedules', async () => {
    const app = engine.app();
    const done = app.task({
      name: 'done',
      queue: 'work',
      input: z.object({ n: z.number() }),
      run: async () => 1,
    });
    app.task({ name: 'import', queue: 'unserved', run: async () => null });
    app.schedule('often', { every: '1h' }, done.si({ n: 1 }));
    const client = new Client(dashboard(app, quiet));
    await client.act('queue.pause', { id: 'work' });
    await app.worker({ name: 'w-1', queues: ['work'] }).start();
    await done.delay({ n: 1 });
    const queueNow = async () =>
      (await client.read<{ queues: { name: string }[] }>('/queues')).queues.find(
        ({ name }) => name === 'work',
      );
    expect(await queueNow()).toMatchObject({ isPaused: true, counts: { waiting: 1 }, workers: ['w-1'] });
    await client.act('queue.limit', { id: 'work', concurrency: 3, rate: '100/m' });
    expect(await queueNow()).toMatchObject({ concurrency: 3, rateLimit: { max: 100 } });
    // The dialog proposes what is set, and core accepts what the dialog proposes.
    for (const rate of ['100/s', '5/m', '1000/h', '1/d']) {
      await client.act('queue.limit', { id: 'work', rate });
      const { rateLimit } = (await queueNow()) as unknown as { rateLimit: RateLimit };
      expect(rateTextOf(rateLimit)).toBe(rate);
    }
    expect(rateTextOf({ max: 3, durationMs: 1500 })).toBeUndefined();
    await client.act('queue.limit', { id: 'work', concurrency: null, rate: null });
    expect(await queueNow()).toMatchObject({ concurrency: null, rateLimit: null });
    const purge = (confirm: string) => client.post('/api/actions/queue.purge', { id: 'work', confirm });
    expect((await purge('wrong')).status).toBe(400);
    expect((await purge('work')).status).toBe(200);
    expect(await queueNow()).toMatchObject({ counts: { waiting: 0 } });
    await client.act('queue.resume', { id: 'work' });
    expect(await client.read('/workers')).toMatchObject({
      workers: [{ name: 'w-1', state: 'online' }],
      stats: { 'w-1': { pid: process.pid } },
    });
    expect(await client.read('/tasks')).toMatchObject({
      tasks: [
        { name: 'done', queue: 'work', workers: ['w-1'], input: { type: 'object' } },
        // The worker knows the task, but does not serve its queue.
        { name: 'import', queue: 'unserved', workers: [] },
      ],
    });
    await client.act('schedule.pause', { id: 'often' });
    expect(await client.read('/schedules')).toMatchObject({
      schedules: [{ name: 'often', state: 'paused' }],
    });
    const { id } = await client.act<{ id: string }>('schedule.run', { id: 'often' });
    expect(await app.result(id).get(soon)).toBe(1);
    await client.act('schedule.resume', { id: 'often' });
    expect(await client.read('/counts')).toMatchObject({ total: { completed: 1 } });
  });

  test('tells pages about changes with one reader, and stops it with the last page', async () => {
    const app = engine.app();
    const events = vi.spyOn(app, 'events');
    const done = app.task({ name: 'done', run: async () => 1 });
    const served = dashboard(app, quiet);
    const client = new Client(served);
    await app.worker().start();
    const pages = await Promise.all(Array.from({ length: 20 }, () => client.get('/api/changes')));
    const readers = pages.map(({ body }) => body?.getReader());
    for (const reader of readers)
      expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(': open\n\n');
    expect(events).toHaveBeenCalledTimes(1);
    const signal = events.mock.calls[0]?.[0]?.signal;
    const result = await done.delay();
    await result.get(soon);
    const message = async (reader: (typeof readers)[number]) => {
      let text = '';
      while (!text.includes(result.id)) text += new TextDecoder().decode((await reader?.read())?.value);
    };
    await Promise.all(readers.map(message));
    await Promise.all(readers.slice(1).map((reader) => reader?.cancel()));
    expect(signal?.aborted).toBe(false);
    await readers[0]?.cancel();
    await vi.waitFor(() => expect(signal?.aborted).toBe(true));
    await client.get('/api/changes');
    expect(events).toHaveBeenCalledTimes(2);
    served.close();
    expect(events.mock.calls[1]?.[0]?.signal?.aborted).toBe(true);
  });

  test('shares what many pages read', async () => {
    const app = engine.app();
    const queues = vi.spyOn(app.inspect, 'queues');
    const client = new Client(dashboard(app, quiet));
    await Promise.all(Array.from({ length: 50 }, () => client.read('/queues')));
    expect(queues).toHaveBeenCalledTimes(1);
    await client.act('queue.pause', { id: 'default' });
    expect(await client.read('/queues')).toMatchObject({ queues: [{ name: 'default', isPaused: true }] });
  });
});
