/** Tags and headers of a composition: its run bears them as well as its parts do. */
import { chain, fromJSON, group } from '@umbel/canvas';
import { type App, type AsyncResult, InvalidOptionError } from '@umbel/core';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';

const soon = { timeout: '50s' } as const;

async function found(app: App, tag: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of app.find({ tag })) ids.push(id);
  return ids;
}

onEveryEngine('the tags and headers of a composition', (engine) => {
  function setUp() {
    const app = engine.app();
    const seen: { name: string; tags: readonly string[]; headers: Readonly<Record<string, string>> }[] = [];
    const step = (name: string) =>
      app.task({
        name,
        input: z.unknown(),
        run: async (_, { tags, headers }) => {
          seen.push({ name, tags: tags.toSorted(), headers });
          return 1;
        },
      });
    return { app, seen, first: step('first'), next: step('next'), after: step('after') };
  }

  const labelled = ({ first, next, after }: ReturnType<typeof setUp>) =>
    chain(first, group([next.tag('part'), next])).link(after);
  type Labelled = ReturnType<typeof labelled>;
  const ways = {
    'set with tag()': (flow: Labelled) =>
      flow
        .tag('report')
        .set({ headers: { by: 'us' } })
        .delay(1),
    'given when it is sent': (flow: Labelled) =>
      flow.applyAsync(1, { tags: ['report'], headers: { by: 'us' } }),
  };

  test.each(Object.entries(ways))('%s are those of its run, wherever it is looked for', async (_, way) => {
    const tools = setUp();
    const { app, seen } = tools;
    const run: AsyncResult<unknown> = await way(labelled(tools));
    const { items } = await app.runs.list();
    expect(items).toMatchObject([{ id: run.id, tags: ['report'], headers: { by: 'us' } }]);
    expect(await app.runs.get(run.id)).toMatchObject({ tags: ['report'], headers: { by: 'us' } });
    expect((await app.runs.list({ tag: 'report' })).items.map(({ id }) => id)).toEqual([run.id]);
    expect(await found(app, 'report')).toEqual([run.id]);
    await app.worker().start();
    await run.get(soon);
    await vi.waitFor(() => expect(seen).toHaveLength(4));
    const by = { by: 'us' };
    expect(seen.toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)))).toEqual([
      { name: 'after', tags: ['report'], headers: by },
      { name: 'first', tags: ['report'], headers: by },
      { name: 'next', tags: expect.arrayContaining(['report']), headers: by },
      { name: 'next', tags: expect.arrayContaining(['report']), headers: by },
    ]);
    expect(seen.filter(({ tags }) => tags.includes('part'))).toHaveLength(1);
    const jobs = await app.jobs.list({ tag: 'report', run: run.id });
    expect(jobs.items.every(({ tags }) => tags.includes('report'))).toBe(true);
    expect(jobs.items).toHaveLength(3);
  });

  test('are those of the run of a callback, of a schedule and of what stands in the place of a call', async () => {
    const { app, first, next } = setUp();
    const follow = chain(first, next)
      .tag('follow')
      .set({ headers: { by: 'them' } });
    const scheduled = app.schedule('nightly', { every: '1d' }, chain(first.si(1), next).tag('nightly'));
    await app.worker().start();
    await (await first.applyAsync(1, { link: follow })).get(soon);
    await vi.waitFor(async () =>
      expect((await app.runs.list({ tag: 'follow' })).items).toMatchObject([
        { tags: ['follow'], headers: { by: 'them' } },
      ]),
    );
    const fired = await scheduled.runNow();
    expect(await app.runs.get(fired.id)).toMatchObject({ tags: ['nightly'] });
  });

  test('of an inner composition are on its parts, beside those of the outer one', async () => {
    const { app, seen, first, next } = setUp();
    const inner = chain(first.set({ headers: { own: '1' } }), next)
      .tag('inner')
      .set({ headers: { in: '2' } });
    await app.worker().start();
    const run = await group([inner])
      .tag('outer')
      .set({ headers: { out: '3' } })
      .delay(1);
    await run.get(soon);
    expect(seen).toMatchObject([
      { name: 'first', tags: ['inner', 'outer'], headers: { own: '1', in: '2', out: '3' } },
      { name: 'next', tags: ['inner', 'outer'], headers: { in: '2', out: '3' } },
    ]);
    expect(await app.runs.get(run.id)).toMatchObject({ tags: ['outer'], headers: { out: '3' } });
  });
});

onEveryEngine('the name of a run', (engine) => {
  function setUp() {
    const app = engine.app();
    const step = (name: string) => app.task({ name, input: z.unknown(), run: async () => 1 });
    return { app, first: step('first'), next: step('next') };
  }
  const namesOf = async (app: App, name?: string) =>
    (await app.runs.list({ ...(name !== undefined && { name }) })).items.map((run) => run.name).toSorted();

  test('is that of its workflow, else its tasks, and runs are found by it', async () => {
    const { app, first, next } = setUp();
    const flow = chain(first, group([next, next]));
    const plain = await flow.delay(1);
    const named = await flow.named('invoice 17').tag('x').delay(1);
    const inside = chain(flow.named('not used'), next).named('invoices');
    await inside.delay(1);
    expect(await namesOf(app)).toEqual(['first → [next × 2]', 'invoice 17', 'invoices']);
    expect(await namesOf(app, 'invoice 17')).toEqual(['invoice 17']);
    expect(await namesOf(app, 'invoice*')).toEqual(['invoice 17', 'invoices']);
    expect(await namesOf(app, 'invoice')).toEqual([]);
    expect(await app.runs.get(named.id)).toMatchObject({ name: 'invoice 17' });
    expect(await named.info()).toMatchObject({ displayName: 'invoice 17' });
    expect(await plain.info()).toMatchObject({ displayName: 'first → [next × 2]' });
    await expect(app.runs.list({ name: '' })).rejects.toThrow('name');
    expect(() => flow.named('')).toThrow(InvalidOptionError);
    expect(() => flow.named('x'.repeat(201))).toThrow('200 characters');
  });

  test('is kept by its JSON form, a callback, a schedule, an idempotency key and a resumed run', async () => {
    const { app, first, next } = setUp();
    const broken = app.task({
      name: 'broken',
      input: z.unknown(),
      run: async () => {
        throw new Error('down');
      },
    });
    const flow = chain(first, next).named('named');
    expect(fromJSON(app, JSON.parse(JSON.stringify(flow))).toJSON()).toEqual(flow.toJSON());
    expect(() => fromJSON(app, { kind: 'chain', name: 7, steps: [{ kind: 'task', task: 'first' }] })).toThrow(
      'name',
    );
    await first.si(1).named('call').link(flow.named('callback')).delay();
    const scheduled = app.schedule('nightly', { every: '1d' }, chain(first.si(1), next).named('scheduled'));
    await app.schedules.sync();
    await scheduled.runNow();
    const failing = await chain(first, broken).named('failing').delay(1);
    await app.worker().start();
    await expect(failing.get(soon)).rejects.toThrow('down');
    await failing.resume();
    await expect(failing.get(soon)).rejects.toThrow('down');
    await vi.waitFor(async () =>
      expect(await namesOf(app)).toEqual(['call', 'callback', 'failing', 'scheduled']),
    );
  });
});
