import { describe, expect, test } from 'vitest';
import { changeOf, KnownJobs } from '../../src/ops/event-translator.js';

const merged = (fields: Record<string, string>, next?: Record<string, string>, queue = 'default') => ({
  queue,
  entry: { id: '1-0', fields: new Map(Object.entries(fields)) },
  next: next && { id: '1-1', fields: new Map(Object.entries(next)) },
});

describe('a stored event', () => {
  test('of a job that goes back to its queue is a retry, unless its worker was lost', () => {
    const back = { event: 'waiting', jobId: 'x', prev: 'active' };
    expect(changeOf(merged(back))).toEqual({ change: 'returned', id: 'x' });
    expect(changeOf(merged(back, { event: 'stalled', jobId: 'x' }))).toBeUndefined();
    expect(changeOf(merged(back, { event: 'stalled', jobId: 'y' }))?.change).toBe('returned');
  });

  test('that only moves a job on in its queue tells nothing', () => {
    for (const prev of ['delayed', 'waiting-children', undefined]) {
      expect(changeOf(merged({ event: 'waiting', jobId: 'x', ...(prev && { prev }) }))).toBeUndefined();
    }
    expect(changeOf(merged({ event: 'drained' }))).toBeUndefined();
    expect(changeOf(merged({ event: 'active' }))).toBeUndefined();
    expect(changeOf(merged({ event: 'constructor', jobId: 'x' }))).toBeUndefined();
    expect(changeOf(merged({ event: 'added', jobId: 'x' }, undefined, 'umbel.control'))).toBeUndefined();
  });

  test('of a job that had ended says that it is queued again', () => {
    for (const prev of ['failed', 'completed'])
      expect(changeOf(merged({ event: 'waiting', jobId: 'x', prev }))?.change).toBe('again');
  });
});

test('of the jobs that were told of, the latest 10,000 are remembered', () => {
  const known = new KnownJobs();
  for (let n = 0; n < 10_000; n += 1) known.of('q', `${n}`).task = 'task';
  known.of('q', '0');
  known.of('q', 'new');
  expect(known.find('q', '0')?.task).toBe('task');
  expect(known.find('q', '1')).toBeUndefined();
  expect(known.find('q', '2')?.task).toBe('task');
});
