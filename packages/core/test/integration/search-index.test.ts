/** The search index: what `searchIndex` finds by task and by error, how much it reads for it, and what leaves it. */
import { chain, group, map } from '@umbel/canvas';
import { type App, createApp, InvalidOptionError, type JobQuery, type RunFilter } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { digestId } from '../../src/job/ids.js';
import { type TagPrimitives, tagPrimitivesOf } from '../../src/store/primitives/tags.js';
import { errorTerm, searchedTaskTerm } from '../../src/store/search-terms.js';

const soon = { timeout: '50s' } as const;
/** So many other jobs wait that a page does not read them all. */
const OTHERS = 1001;

/** All pages of a query: the ids, and the number of entries that were read. */
async function search(app: App, query: JobQuery): Promise<{ ids: string[]; read: number }> {
  const ids: string[] = [];
  let read = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await app.jobs.list({ ...query, cursor, waitForIndex: true });
    ids.push(...page.items.map(({ id }) => id));
    read += page.read;
    cursor = page.cursor;
    if (cursor === undefined) return { ids, read };
  }
}

/** Tasks whose jobs fail as their input says, and many jobs of another task that wait. */
async function crowded(app: App) {
  const other = app.task({ name: 'other', queue: 'idle', run: async () => 1 });
  const welcome = app.task({ name: 'mail.welcome', input: z.unknown(), run: async () => 1 });
  const bill = app.task({ name: 'mail.bill.send', input: z.unknown(), run: async () => 1 });
  const fail = app.task({
    name: 'fail',
    input: z.string(),
    run: async (name): Promise<null> => {
      throw Object.assign(new Error('no'), { name, code: `${name}_CODE` });
    },
  });
  await other.sendMany(Array.from({ length: OTHERS }));
  return { other, welcome, bill, fail };
}

onEveryEngine('the search index', (engine) => {
  test('finds jobs by task and by group of tasks, and reads no others', async () => {
    const app = engine.app({ searchIndex: true });
    const { welcome, bill } = await crowded(app);
    const before = await createdBefore(app);
    const call = await welcome.delay(1);
    const tagged = await welcome.applyAsync(2, { tags: ['task mail.welcome', 'acme'] });
    const some = await bill.sendMany([1, 2, 3]);
    const keyed = await bill.applyAsync(4, { idempotencyKey: 'one' });
    const run = await chain(bill, group([welcome, bill])).delay(0);
    const steps = (names: readonly string[]) => names.map((path) => `${run.id}.${path}`);

    const welcomes = await search(app, { task: 'mail.welcome' });
    expect(welcomes.ids.toSorted()).toEqual([call.id, tagged.id].toSorted()); // the member is added later
    expect(welcomes.read).toBeLessThan(10);
    const all = await search(app, { task: 'mail.*', limit: 2 });
    const calls = [call, tagged, ...some, keyed].map(({ id }) => id);
    expect(all.ids.toSorted()).toEqual([...calls, ...steps(['0-0'])].toSorted());
    expect(all.read).toBeLessThan(20);
    expect((await search(app, { task: 'mail.bill.*' })).ids).toHaveLength(5);
    expect((await search(app, { task: 'mail.*', tag: 'acme' })).ids).toEqual([tagged.id]);
    // A task is no tag: what a tag finds can be revoked.
    const found: string[] = [];
    for await (const { id } of app.find({ tag: 'task mail.welcome' })) found.push(id);
    expect(found).toEqual([tagged.id]);

    await app.worker({ queues: ['default'], concurrency: 10 }).start();
    await run.get(soon);
    await Promise.all([...some, call, tagged, keyed].map((each) => each.get(soon)));
    const members = await search(app, { task: 'mail.*', state: 'completed', run: run.id });
    expect(members.ids).toHaveLength(3);
    const ended = await search(app, { task: 'mail.*', state: ['completed', 'waiting'] });
    expect(ended.ids.toSorted()).toEqual([...calls, ...members.ids].toSorted());
    // The jobs of a program without the index are not in it. A short list is read as a whole, with them.
    expect(ended.ids).not.toContain(before.id);
    expect((await search(app, { task: 'mail.*', state: 'delayed' })).ids).toEqual([before.id]);
  });

  test('finds jobs by the name and the code of their error', async () => {
    const app = engine.app({ searchIndex: true });
    const { fail, welcome } = await crowded(app);
    await app.worker({ queues: ['default'], concurrency: 100 }).start();
    const failed = await fail.delay('DiskError');
    await failed.outcome(soon);
    const run = await chain(fail, welcome).delay('NetError');
    await run.outcome(soon);
    const expired = await welcome.applyAsync(1, { expires: new Date(Date.now() - 1) });
    await expired.outcome(soon);
    const revoked = await welcome.applyAsync(1, { countdown: '1h' });
    await revoked.revoke();
    await revoked.outcome(soon);
    // So many jobs have failed that a page does not read them all.
    const many = await fail.sendMany(Array.from({ length: OTHERS }, () => 'OtherError'));
    await Promise.all(many.slice(-200).map((each) => each.outcome(soon)));
    for (const error of ['Disk', 'DiskError', 'DiskError_CODE']) {
      const { ids, read } = await search(app, { error });
      expect(ids).toEqual([failed.id]);
      expect(read).toBeLessThan(5);
    }
    expect((await search(app, { error: 'Net', state: 'failed' })).ids).toEqual([`${run.id}.0-0`]);
    expect((await search(app, { error: 'Expired' })).ids).toEqual([expired.id]);
    expect((await search(app, { error: 'Net', state: ['completed', 'waiting'] })).ids).toEqual([]);
    expect((await search(app, { error: 'Revoked' })).ids).toEqual([]);
    expect((await search(app, { error: 'Disk', task: 'mail.*' })).ids).toEqual([]);
    await failed.forget();
    expect((await search(app, { error: 'Disk' })).ids).toEqual([]);
  });

  test('loses its entries when their jobs are gone', async () => {
    const app = engine.app({ searchIndex: true });
    const { fail } = await crowded(app);
    const failed = await fail.delay('DiskError');
    await app.worker({ queues: ['default'] }).start();
    await failed.outcome(soon);
    await app.repair(); // moves what is queued into the index
    const index = tagPrimitivesOf(engine.bareQueue('umbel.tags').getBackend()) as TagPrimitives;
    const terms = [searchedTaskTerm('fail') ?? '', errorTerm('DiskError'), errorTerm('DiskError_CODE')];
    const entries = async () => {
      const found = terms.map((term) => index.findTagged(digestId(term, 32), 10, undefined, true));
      return (await Promise.all(found)).map((each) => each.map(({ id }) => id));
    };
    expect(await entries()).toEqual(terms.map(() => [failed.id]));
    await failed.forget();
    const kept = { completedMs: 0, failedMs: 0 };
    const later = Date.now() + 30 * 86_400_000;
    while ((await index.checkTags(later, 500, kept)) === 500);
    expect(await entries()).toEqual(terms.map(() => []));
  });

  test('answers at once while many calls wait for the index, and says how many it has not searched', async () => {
    const app = engine.app({ searchIndex: true });
    const early = app.task({ name: 'early', input: z.unknown(), run: async () => 1 });
    const first = await early.applyAsync(1, { tags: ['acme'] });
    const { bill } = await crowded(app);
    const bills = await bill.sendMany([1, 2, 3, 4, 5]);
    const isQueued = engine.name === 'redis'; // elsewhere calls are written to the index at once
    const left = OTHERS + 1 + 5 - 1000;
    const { items, notIndexed } = await app.jobs.list({ task: 'mail.bill.send' });
    expect(items.map(({ id }) => id).toSorted()).toEqual(bills.map(({ id }) => id).toSorted());
    expect(notIndexed).toBe(isQueued ? left : undefined);
    // The calls have been moved between these pages.
    const page = await app.jobs.list({ task: 'mail.bill.send', limit: 2 });
    const waited = await app.jobs.list({ task: 'early', waitForIndex: true });
    expect(waited).toMatchObject({ items: [{ id: first.id }], read: 1 });
    expect(waited.notIndexed).toBeUndefined();
    const ids = page.items.map(({ id }) => id);
    for (let cursor = page.cursor; cursor !== undefined; ) {
      const next = await app.jobs.list({ task: 'mail.bill.send', limit: 2, cursor });
      ids.push(...next.items.map(({ id }) => id));
      cursor = next.cursor;
    }
    expect(ids).toEqual(items.map(({ id }) => id));
    expect((await app.jobs.list({ tag: 'acme', task: 'early' })).items).toHaveLength(1);
    await expect(app.jobs.list({ waitForIndex: 'yes' as never })).rejects.toThrow(InvalidOptionError);
  });

  test.each([true, false])('finds workflow runs by their tasks, with the index: %s', async (searchIndex) => {
    const app = engine.app({ searchIndex });
    const { welcome, other } = await crowded(app);
    const members = Array.from({ length: 130 }, () => welcome.si(1));
    const large = await chain(group(members), other.si()).named('large').delay();
    const split = app.task({ name: 'mail.bill.split', input: z.unknown(), run: async () => [1, 2] });
    const mapped = await chain(split, map(welcome)).named('mapped').delay(0);
    const plain = await chain(other, other.si()).delay();
    await welcome.delay(1);
    await app.worker({ queues: ['default'], concurrency: 10 }).start();
    const more: { readonly id: string }[] = [];
    for (let sent = 0; sent < 51; sent += 1) more.push(await chain(other, other.si()).delay());
    const found = async (query: RunFilter) => {
      const ids: string[] = [];
      for await (const { id } of app.runs.all(query)) ids.push(id);
      return ids.toSorted();
    };
    expect(await found({ task: 'mail.welcome' })).toEqual([large.id, mapped.id].toSorted());
    expect(await found({ task: 'mail.*' })).toEqual([large.id, mapped.id].toSorted());
    expect(await found({ task: 'mail.bill.*' })).toEqual([mapped.id]);
    expect(await found({ task: 'mail.welcome', name: 'lar*' })).toEqual([large.id]);
    const others = [large, plain, ...more].map(({ id }) => id);
    expect(await found({ task: 'other' })).toEqual(others.toSorted());
    expect(await found({ task: 'none' })).toEqual([]);
    // A page reads the jobs of 50 runs at most.
    const { read } = await app.runs.list({ task: 'none', state: 'waiting-children' });
    expect(read).toBeLessThanOrEqual(searchIndex ? 0 : 50);
  });

  test('is not written without the option', async () => {
    const app = engine.app();
    const { welcome, fail } = await crowded(app);
    const call = await welcome.delay(1);
    const failed = await fail.delay('DiskError');
    await app.worker({ queues: ['default'] }).start();
    await failed.outcome(soon);
    await app.repair();
    const { ids, read } = await search(app, { task: 'mail.welcome' });
    expect(ids).toEqual([call.id]);
    expect(read).toBe(OTHERS + 2);
    expect((await search(app, { error: 'Disk' })).ids).toEqual([failed.id]);
    const index = tagPrimitivesOf(engine.bareQueue('umbel.tags').getBackend()) as TagPrimitives;
    for (const term of [searchedTaskTerm('mail.welcome') ?? '', errorTerm('Disk')])
      expect(await index.findTagged(digestId(term, 32), 10, undefined, true)).toEqual([]);
  });

  /** A delayed job of a group of tasks, sent by a program without the index. */
  async function createdBefore(app: App) {
    const without = engine.sameApp({ name: app.name, searchIndex: false });
    const old = without.task({ name: 'mail.old', input: z.unknown(), run: async () => 1 });
    return old.applyAsync(1, { countdown: '1h' });
  }
});

test('searchIndex is true or false', () => {
  expect(() => createApp({ name: 'a', searchIndex: 'yes' as never })).toThrow(InvalidOptionError);
});
