/** Calls that wait for a batch: which share one, and what holds a batch back. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CallBatcher } from '../../../src/store/engine/postgres/batching/call-batcher.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a batch', () => {
  const batches: string[][] = [];
  const ends: (() => void)[] = [];
  const newBatcher = (limits = { calls: 3, characters: 100 }) =>
    new CallBatcher<string>((calls) => {
      batches.push([...calls]);
      return new Promise((resolve) => ends.push(resolve));
    }, limits);

  beforeEach(() => {
    batches.length = 0;
    ends.length = 0;
  });
  afterEach(() => vi.restoreAllMocks());

  test('has the calls of one turn, up to its limits', async () => {
    const batcher = newBatcher();
    for (const call of ['a', 'b', 'c', 'd']) batcher.add(call, 1);
    expect(batches).toEqual([]);
    await turn();
    expect(batches).toEqual([['a', 'b', 'c'], ['d']]);
  });

  test('has no more characters than allowed; a longer call is alone', async () => {
    const batcher = newBatcher();
    batcher.add('a', 60);
    batcher.add('b', 41);
    await turn();
    expect(batches).toEqual([['a'], ['b']]);
    ends[0]?.();
    ends[1]?.();
    await turn();
    batcher.add('long', 1000);
    batcher.add('c', 1);
    await turn();
    expect(batches.slice(2)).toEqual([['long'], ['c']]);
  });

  test('waits while two others run, and takes all that came meanwhile', async () => {
    const batcher = newBatcher();
    for (const call of ['a', 'b']) {
      batcher.add(call, 1);
      await turn();
    }
    batcher.add('c', 1);
    await turn();
    batcher.add('d', 1);
    await turn();
    expect(batches).toEqual([['a'], ['b']]);
    ends[0]?.();
    await turn();
    expect(batches).toEqual([['a'], ['b'], ['c', 'd']]);
  });

  test('does not wait for those that take long', async () => {
    const batcher = newBatcher();
    for (const call of ['a', 'b']) {
      batcher.add(call, 1);
      await turn();
    }
    batcher.add('c', 1);
    await vi.waitFor(() => expect(batches).toEqual([['a'], ['b'], ['c']]));
  });
});
