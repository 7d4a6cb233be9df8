import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MergeEntry, type MergeStream, takeBefore, Watermark } from '../../src/ops/event-merge.js';
import { timeOfId } from '../../src/store/stream-position.js';

const entry = (id: string, event = 'active'): MergeEntry => ({ id, fields: new Map([['event', event]]) });
const stream = (queue: string, entries: MergeEntry[]): MergeStream => ({ queue, entries });
const shown = (merged: ReturnType<typeof takeBefore>) =>
  merged.map(({ queue, entry: { id } }) => `${queue} ${id}`);

describe('streams merged', () => {
  test('follow the time, each in its own order, up to a moment', () => {
    const a = stream('a', [entry('5-0'), entry('5-1'), entry('9-0')]);
    const b = stream('b', [entry('4-7'), entry('6-0'), entry('7-0')]);
    expect(shown(takeBefore([b, a], 7))).toEqual(['b 4-7', 'a 5-0', 'a 5-1', 'b 6-0']);
    expect(a.entries.map(({ id }) => id)).toEqual(['9-0']);
    expect(shown(takeBefore([a, b], Number.POSITIVE_INFINITY))).toEqual(['b 7-0', 'a 9-0']);
    expect(takeBefore([a, b], Number.POSITIVE_INFINITY)).toEqual([]);
  });

  test('tell within a millisecond a run before its steps, and its end after them', () => {
    const runs = stream('umbel', [entry('5-0', 'added'), entry('5-1', 'waiting'), entry('5-2', 'completed')]);
    const steps = stream('z', [entry('5-0', 'added'), entry('5-1', 'completed')]);
    expect(shown(takeBefore([steps, runs], 6))).toEqual([
      'umbel 5-0',
      'umbel 5-1',
      'z 5-0',
      'z 5-1',
      'umbel 5-2',
    ]);
  });

  test('tell the same whether a reader has left its mark in the same millisecond, or not', () => {
    const steps = stream('a', [entry('5-0', 'umbel:read'), entry('5-1', 'added')]);
    const runs = stream('umbel', [entry('5-0', 'umbel:read'), entry('5-1', 'added')]);
    expect(shown(takeBefore([steps, runs], 6)).slice(2)).toEqual(['umbel 5-1', 'a 5-1']);
  });

  test('go back in time where a stream does, and lose nothing', () => {
    const a = stream('a', [entry('9-0'), entry('3-0')]);
    expect(shown(takeBefore([a], 10))).toEqual(['a 9-0', 'a 3-0']);
  });

  const events = fc.array(
    fc.record({
      queue: fc.constantFrom('a', 'b', 'umbel'),
      ms: fc.integer({ min: 1, max: 30 }),
      event: fc.constantFrom('added', 'active', 'completed'),
    }),
    { maxLength: 60 },
  );

  test('have one order, however their events arrive', () => {
    fc.assert(
      fc.property(events, fc.infiniteStream(fc.nat({ max: 5 })), (all, chances) => {
        const written = new Map<string, MergeEntry[]>([
          ['a', []],
          ['b', []],
          ['umbel', []],
        ]);
        for (const { queue, ms, event } of all.toSorted((x, y) => x.ms - y.ms)) {
          const into = written.get(queue) ?? [];
          into.push(entry(`${ms}-${into.length}`, event));
        }
        const whole = [...written].map(([queue, entries]) => stream(queue, [...entries]));
        const expected = shown(takeBefore(whole, Number.POSITIVE_INFINITY));
        // Rounds of a reader: each begins at a moment of the store and reads, of each stream, at least what is older.
        const streams = [...written.keys()].map((queue) => stream(queue, []));
        const told: string[] = [];
        for (let now = 0; now <= 40; now += (chances.next().value ?? 0) + 1) {
          for (const each of streams) {
            const readUntil = now + (chances.next().value ?? 0);
            const from = written.get(each.queue) ?? [];
            while (from[0] !== undefined && timeOfId(from[0].id) < readUntil)
              each.entries.push(...from.splice(0, 1));
          }
          told.push(...shown(takeBefore(streams, now)));
        }
        told.push(...shown(takeBefore(streams, Number.POSITIVE_INFINITY)));
        expect(told).toEqual(expected);
      }),
    );
  });
});

describe('a watermark', () => {
  test('is as late as the store was at least, and goes on with the clock for a while', () => {
    const mark = new Watermark();
    expect(mark.at(0)).toBe(Number.NEGATIVE_INFINITY);
    mark.seen(5000, 100);
    expect(mark.at(100)).toBe(5000);
    expect(mark.at(150.7)).toBe(5050);
    mark.seen(4000, 160); // an old event says little
    expect(mark.at(160)).toBe(5060);
    mark.seen(5500, 200);
    expect(mark.at(201)).toBe(5501);
    expect(mark.at(200 + 10_001)).toBe(5500); // clocks drift
    mark.seen(5500, 20_000);
    expect(mark.at(20_010)).toBe(5510);
  });
});
