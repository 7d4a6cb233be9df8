/** Streams are read in pages, and told in the order in which they would be if all were read at once. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MergedStreamReader, takeBefore } from '../../src/ops/event-merge.js';
import { type EventFilter, SharedInterests } from '../../src/ops/event-subscription.js';
import type { EventStreams, StreamEntry, StreamPlace } from '../../src/store/events.js';
import type { Store } from '../../src/store/store.js';
import { compareIds, FIRST, idBefore } from '../../src/store/stream-position.js';

/** Later than every event of a test. */
const MARK = '9000000-0';
const PAGE = 1000;

class Streams {
  readonly #streams: Readonly<Record<string, StreamEntry[]>>;
  largest = 0;

  constructor(streams: Readonly<Record<string, StreamEntry[]>>) {
    this.#streams = streams;
  }

  async read(places: readonly StreamPlace[], limit: number): Promise<StreamEntry[][]> {
    return places.map(({ queue, after }) => {
      const all = [...(this.#streams[queue] ?? []), { id: MARK, fields: new Map([['event', 'umbel:read']]) }];
      const found = all.filter(({ id }) => compareIds(id, after) > 0).slice(0, limit);
      this.largest = Math.max(this.largest, found.length);
      return found;
    });
  }
}

const store = { on: async () => MARK } as unknown as Store; // of which a reader asks for marks only

/** Events at such distances from each other, in milliseconds. */
const streamOf = (gaps: readonly number[]): StreamEntry[] => {
  let [ms, sequence] = [1000, 0];
  return gaps.map((gap) => {
    sequence = gap === 0 ? sequence + 1 : 0;
    ms += gap;
    return { id: `${ms}-${sequence}`, fields: new Map([['event', 'active']]) };
  });
};

async function readAll(streams: Streams, queues: readonly string[], after = FIRST): Promise<string[]> {
  const reader = new MergedStreamReader(store);
  for (const queue of queues) reader.add({ queue, after, isAnchored: false, isMarked: false });
  const told: string[] = [];
  for (let rounds = 0; rounds < 100; rounds += 1) {
    const merged = await reader.read(streams as unknown as EventStreams);
    for (const { queue, entry } of merged) told.push(`${queue} ${entry.isGap ? 'gap' : entry.id}`);
    if (reader.isQuiet || (merged.length === 0 && rounds > 90)) break;
  }
  return told;
}

test('pages of streams are merged as the whole would be', async () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 0, maxLength: 30 });
  // Each is repeated, so that streams are longer than pages, with many events in one millisecond.
  const stream = fc
    .tuple(gaps, fc.integer({ min: 1, max: 150 }))
    .map(([some, times]) => streamOf(Array.from({ length: times }, () => some).flat()));
  await fc.assert(
    fc.asyncProperty(stream, stream, async (a, b) => {
      const streams = new Streams({ a, b });
      const whole = takeBefore(
        [
          { queue: 'a', entries: [...a] },
          { queue: 'b', entries: [...b] },
        ],
        Number.POSITIVE_INFINITY,
      ).map(({ queue, entry: { id } }) => `${queue} ${id}`);
      const told = await readAll(streams, ['a', 'b']);
      expect(told.filter((each) => !each.endsWith(MARK))).toEqual(whole);
      expect(streams.largest).toBeLessThanOrEqual(PAGE + 1);
    }),
    { numRuns: 30 },
  );
});

test('more events in one millisecond than a page has are read on', async () => {
  const a = streamOf(Array.from({ length: 3500 }, () => 0));
  const told = await readAll(new Streams({ a }), ['a']);
  expect(told.filter((each) => !each.endsWith(MARK))).toEqual(a.map(({ id }) => `a ${id}`));
});

test('a stream that holds more than the store keeps may have lost what follows a moment', async () => {
  const a = streamOf(Array.from({ length: 10_050 }, () => 1));
  const told = await readAll(new Streams({ a }), ['a'], idBefore(900));
  expect(told[0]).toBe('a gap');
  expect(told.slice(1, -1)).toEqual(a.map(({ id }) => `a ${id}`));
  const few = await readAll(new Streams({ a: a.slice(-2000) }), ['a'], idBefore(900));
  expect(few[0]).toBe(`a ${a.at(-2000)?.id}`);
});

test('ids are compared as numbers', () => {
  expect(compareIds('9-0', '10-0')).toBeLessThan(0);
  expect(compareIds('10-9', '10-10')).toBeLessThan(0);
  expect(compareIds('10-18446744073709551615', '10-18446744073709551614')).toBeGreaterThan(0);
  expect(compareIds('10-3', '10-3')).toBe(0);
});

test('what is wanted is known from when on somebody wanted as much', () => {
  const wanted = (types: EventFilter['types'], more: Partial<EventFilter> = {}): EventFilter => ({
    ...{ types, tasks: undefined, id: undefined },
    ...more,
  });
  const interests = new SharedInterests();
  const ends = wanted(new Set(['completed']));
  interests.add(ends, 5);
  expect(interests.since(wanted(new Set(['completed']), { id: 'x' }))).toBe(5);
  expect(interests.since(wanted(new Set(['completed', 'failed'])))).toBe(Number.POSITIVE_INFINITY);
  expect(interests.mayNeed('default', 'started', 'x')).toBe(false);
  const mine = wanted(new Set(['started', 'completed']), { tasks: new Set(['mine']) });
  interests.add(mine, 9);
  expect(interests.mayNeed('default', 'started', 'x')).toBe(true);
  expect(interests.needsTask('default', 'started', 'x', 'other')).toBe(false);
  expect(interests.since(wanted(new Set(['started']), { tasks: new Set(['mine']) }))).toBe(9);
  expect(interests.since(wanted(new Set(['started'])))).toBe(Number.POSITIVE_INFINITY);
  interests.delete(ends);
  interests.delete(mine);
  expect(interests.since(wanted(new Set(['completed']), { id: 'x' }))).toBe(Number.POSITIVE_INFINITY);
  const onlyX = wanted(new Set(['completed']), { id: 'x' });
  interests.add(onlyX, 12);
  expect(interests.mayNeed('default', 'completed', 'x.0')).toBe(true);
  expect(interests.mayNeed('default', 'completed', 'xy')).toBe(false);
});
