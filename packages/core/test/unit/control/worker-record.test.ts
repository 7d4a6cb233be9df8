import { describe, expect, test } from 'vitest';
import {
  isShown,
  matchWorkers,
  readRecord,
  sortRecords,
  type WorkerRecord,
  workerLabels,
  workerStateOf,
  workersOf,
} from '../../../src/control/worker-record.js';

const NOW = Date.UTC(2030, 0, 1);

let made = 0;
function record(fields: Partial<WorkerRecord> = {}): WorkerRecord {
  made += 1;
  return {
    id: `${made.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`,
    name: 'mail',
    host: 'h',
    pid: made,
    version: '1.2.3',
    startedAt: NOW - 5000,
    seenAt: NOW - 1000,
    heartbeatMs: 10_000,
    isClosing: false,
    queues: { q: { concurrency: 2, active: 1 } },
    utilization: 0.5,
    delayMs: 12,
    rssBytes: 7,
    ...fields,
  };
}

const stored = ({ id, ...fields }: WorkerRecord): [string, string] => [id, JSON.stringify(fields)];

describe('a record', () => {
  test('is read as it was written', () => {
    const one = record({ process: 3 });
    expect(readRecord(...stored(one))).toEqual(one);
  });

  test('is missing after three signs of life that did not come', () => {
    const one = record({ seenAt: NOW - 30_000 });
    expect(workerStateOf(one, NOW)).toBe('online');
    expect(workerStateOf(one, NOW + 1)).toBe('missing');
    expect(workerStateOf(record({ isClosing: true }), NOW)).toBe('closing');
    expect(workerStateOf(record({ isClosing: true, seenAt: 0 }), NOW)).toBe('missing');
  });

  test('is outdated after a day', () => {
    const old = record({ seenAt: NOW - 86_400_001 });
    const dead = record({ seenAt: NOW - 86_399_000 });
    const found = sortRecords(new Map([stored(old), stored(dead)]), NOW);
    expect(found).toEqual({ records: [dead], outdated: [old.id] });
  });

  test('is listed for an hour after its last sign of life', () => {
    expect(isShown(record({ seenAt: NOW - 3_600_000 }), NOW)).toBe(true);
    expect(isShown(record({ seenAt: NOW - 3_600_001 }), NOW)).toBe(false);
    expect(isShown(record({ seenAt: NOW - 3_600_001, heartbeatMs: 3_600_000 }), NOW)).toBe(true); // not missing yet
  });
});

describe('workers', () => {
  test('are the processes of one name, with what those serve that are there', () => {
    const one = record({ name: 'mail', process: 0, startedAt: NOW - 9000 });
    const two = record({ name: 'mail', process: 1, queues: { r: { concurrency: 3, active: 0 } } });
    const dead = record({ name: 'mail', process: 2, seenAt: NOW - 40_000 });
    const [mail, ...more] = workersOf([one, two, dead], NOW);
    expect(more).toEqual([]);
    expect(mail).toMatchObject({
      name: 'mail',
      state: 'online',
      uptimeMs: 9000,
      lastSeenAt: new Date(NOW - 1000),
      queues: { q: { concurrency: 2, active: 1 }, r: { concurrency: 3, active: 0 } },
      concurrency: 5,
      active: 1,
    });
    expect(mail?.processes.map(({ process, state }) => [process, state])).toEqual([
      [0, 'online'],
      [1, 'online'],
      [2, 'missing'],
    ]);
  });

  test('are closing if all that are there do, and missing if none is', () => {
    const closing = record({ isClosing: true });
    const dead = record({ seenAt: 0 });
    expect(workersOf([closing, dead], NOW)[0]?.state).toBe('closing');
    expect(workersOf([dead], NOW)[0]).toMatchObject({ state: 'missing', concurrency: 0, queues: {} });
    expect(workersOf([closing, dead, record()], NOW)[0]?.state).toBe('online');
  });

  test('are called by their name, their number, or the beginning of their id', () => {
    const alone = record({ name: 'alone' });
    const zero = record({ name: 'many', process: 0 });
    const one = record({ name: 'many', process: 1 });
    const a = record({ name: 'twin' });
    const b = record({ name: 'twin' });
    const labels = workerLabels([alone, zero, one, a, b]);
    expect([...labels.values()]).toEqual([
      'alone',
      'many#0',
      'many#1',
      `twin#${a.id.slice(0, 8)}`,
      `twin#${b.id.slice(0, 8)}`,
    ]);
    const all = [alone, zero, one, a, b];
    expect(matchWorkers(all, ['many']).matched).toEqual([zero, one]);
    expect(matchWorkers(all, ['many#1', alone.id, labels.get(a.id) ?? '']).matched).toEqual([alone, one, a]);
    expect(matchWorkers(all, ['nobody', 'alone'])).toEqual({ matched: [alone], unknown: ['nobody'] });
  });

  test('of two machines that number their processes alike are told apart by their ids', () => {
    const [a, b] = [record({ name: 'many', process: 0 }), record({ name: 'many', process: 0 })];
    expect([...workerLabels([a, b]).values()]).toEqual([
      `many#${a.id.slice(0, 8)}`,
      `many#${b.id.slice(0, 8)}`,
    ]);
  });
});
