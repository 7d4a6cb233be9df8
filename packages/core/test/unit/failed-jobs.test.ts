/** The failed jobs of a queue, read while others fail and are taken away between any two commands. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cursorOf, deadLetterSearchOf } from '../../src/ops/dead-letter-query.js';
import { failedJobs } from '../../src/store/failed-jobs.js';
import type { Store } from '../../src/store/store.js';

interface Entry {
  readonly id: string;
  at: number;
}

/** A store of one queue, which `between` changes before every command. The latest first, then by id from the last. */
function storeOf(entries: Entry[], between: () => void): Store {
  const sorted = () => entries.sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
  const jsonOf = (id: string) => {
    const entry = entries.find((each) => each.id === id);
    return entry && { finishedOn: entry.at };
  };
  const bull = {
    getRanges: async (_: unknown, first: number, last: number) =>
      sorted()
        .slice(first, last + 1)
        .map(({ id }) => id),
    getJobCountByTypes: async () => entries.length,
    getJob: async (id: string) => {
      const json = jsonOf(id);
      return json && { id, name: 'work', data: {}, ...json };
    },
    getJobState: async (id: string) => (jsonOf(id) === undefined ? 'unknown' : 'failed'),
    getBackend: () => ({ getJobData: async (id: string) => jsonOf(id) }),
  };
  const store = {
    sealer: { decode: async (value: unknown) => value },
    on: async (_: string, command: (queue: unknown) => Promise<unknown>) => {
      between();
      return command(bull);
    },
  };
  return store as unknown as Store; // all that is read of it
}

test('every one that stays is given once, in order, and none is given twice', async () => {
  let changes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 120 }),
      fc.array(fc.tuple(fc.constantFrom('none', 'goes', 'again', 'new'), fc.nat(1000)), { maxLength: 80 }),
      fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined }),
      async (times, plan, untilMs) => {
        const entries = times.map((at, index): Entry => ({ id: `a${index}`, at }));
        const stay = new Set(entries.filter(({ at }) => untilMs === undefined || at <= untilMs));
        const before = new Map(entries.map(({ id, at }) => [id, at]));
        let now = 41;
        const left = [...plan];
        const between = () => {
          const [change, index] = left.shift() ?? ['none', 0];
          const entry = entries[index % Math.max(entries.length, 1)];
          if (change === 'none' || entry === undefined) return;
          changes += 1;
          now += 1;
          if (change === 'new') entries.push({ id: `b${now}`, at: now });
          else stay.delete(entry);
          if (change === 'again') entry.at = now;
          if (change === 'goes') entries.splice(entries.indexOf(entry), 1);
        };
        const given: string[] = [];
        for await (const { id } of failedJobs(storeOf(entries, between), ['q'], {
          untilMs,
          after: undefined,
        }))
          given.push(id);
        expect(new Set(given).size).toBe(given.length);
        expect(given).toEqual(expect.arrayContaining([...stay].map(({ id }) => id)));
        const old = given.filter((id) => stay.has(entries.find((each) => each.id === id) as Entry));
        const key = (id: string) => before.get(id) ?? 0;
        expect(old).toEqual(old.toSorted((a, b) => key(b) - key(a) || (a < b ? 1 : -1)));
      },
    ),
    { numRuns: 500 },
  );
  expect(changes).toBeGreaterThan(1000);
});

test('those after any one of them are the rest', async () => {
  const entries = Array.from({ length: 100 }, (_, index) => ({ id: `a${index}`, at: index % 7 }));
  const store = storeOf(entries, () => {});
  const read = async (after?: ReturnType<typeof deadLetterSearchOf>['after']) => {
    const found = [];
    for await (const job of failedJobs(store, ['q'], { untilMs: undefined, after })) found.push(job);
    return found;
  };
  const all = await read();
  expect(all).toHaveLength(100);
  for (const [index, job] of all.entries()) {
    const { after } = deadLetterSearchOf({ cursor: cursorOf(job) });
    expect((await read(after)).map(({ id }) => id)).toEqual(all.slice(index + 1).map(({ id }) => id));
  }
});
