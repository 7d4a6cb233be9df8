import { expect, test } from 'vitest';
import { type WorkerChange, withChange } from '../../../src/worker/supervisor/messages.js';

const concurrency = (value: number, queue?: string): WorkerChange => ({
  umbel: 'set-concurrency',
  concurrency: value,
  ...(queue !== undefined && { queue }),
});
const add = (queue: string): WorkerChange => ({ umbel: 'add-queue', queue });
const remove = (queue: string): WorkerChange => ({ umbel: 'remove-queue', queue });

const after = (...changes: WorkerChange[]) => changes.reduce<WorkerChange[]>(withChange, []);

test('changes stay in their order', () => {
  expect(after(add('a'), concurrency(2), concurrency(3, 'a'))).toEqual([
    add('a'),
    concurrency(2),
    concurrency(3, 'a'),
  ]);
});

test('a concurrency replaces earlier ones of its queue, and one of all queues every one', () => {
  expect(after(concurrency(1, 'a'), concurrency(2, 'b'), concurrency(3, 'a'))).toEqual([
    concurrency(2, 'b'),
    concurrency(3, 'a'),
  ]);
  expect(after(concurrency(1), concurrency(2, 'b'), concurrency(3))).toEqual([concurrency(3)]);
});

test('nothing is left of a queue that was removed but its removal, since processes may serve it by their options', () => {
  expect(after(add('a'), concurrency(2, 'a'), add('b'), remove('a'))).toEqual([add('b'), remove('a')]);
  expect(after(remove('a'), add('a'))).toEqual([remove('a'), add('a')]);
  expect(after(remove('a'), add('a'), remove('a'))).toEqual([remove('a')]);
});
