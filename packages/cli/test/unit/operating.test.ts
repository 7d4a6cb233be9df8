import type { Answers, App, GraphEdge, GraphNode, QueueInfo, WorkerInfo } from '@umbel/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { layOut } from '../../src/commands/runs.js';
import { frame } from '../../src/commands/top.js';
import { longDuration, milliseconds, momentOf, pastMoment, relative, setClock } from '../../src/display.js';
import { findingsOf } from '../../src/findings.js';
import { judgeAnswers, upTo } from '../../src/operator-flags.js';
import { Output } from '../../src/output.js';

function written() {
  let text = '';
  const stream = {
    write: (more: string) => {
      text += more;
    },
  };
  return { out: new Output({}, stream, stream, {}), text: () => text };
}

function worker(name: string, state: WorkerInfo['state']): WorkerInfo {
  const none = {
    startedAt: new Date(0),
    uptimeMs: 0,
    lastSeenAt: new Date(0),
    queues: {},
    concurrency: 0,
    active: 0,
  };
  return { name, state, ...none, processes: [] };
}

describe('the answers of workers', () => {
  const app = (...workers: WorkerInfo[]) =>
    ({ name: 'shop', inspect: { workers: async () => workers } }) as unknown as App;
  const judged = async (
    answers: Partial<Answers<unknown>>,
    known: App,
    flags: { worker?: string[] } = {},
  ) => {
    const { out, text } = written();
    const code = await judgeAnswers(known, out, { answers: {}, errors: {}, missing: [], ...answers }, flags);
    return { code, text: text() };
  };

  test('are complete without one that is known to be gone', async () => {
    const known = app(worker('a', 'online'), worker('b', 'missing'));
    const { code, text } = await judged({ answers: { a: {} }, missing: ['b'] }, known);
    expect(code).toBe(0);
    expect(text).toContain('b is gone');
    const named = await judged({ answers: { a: {} }, missing: ['b'] }, known, { worker: ['a', 'b'] });
    expect(named.code).toBe(75);
  });

  test('lack one that should have answered', async () => {
    const known = app(worker('a', 'online'), worker('b', 'online'));
    const { code, text } = await judged({ answers: { a: {} }, missing: ['b#1'] }, known);
    expect(code).toBe(75);
    expect(text).toContain('b#1 did not answer within 1s');
  });

  test('tell of one that could not do it', async () => {
    const { code, text } = await judged({ answers: { a: {} }, errors: { b: 'no \u001b[31mqueue' } }, app());
    expect(code).toBe(1);
    expect(text).toBe('b: no [31mqueue\n');
  });

  test('cannot come from one that is not known, nor from nobody', async () => {
    await expect(judged({ missing: ['x'] }, app(), { worker: ['x'] })).rejects.toMatchObject({
      problem: { exitCode: 3 },
    });
    await expect(judged({}, app())).rejects.toMatchObject({ problem: { exitCode: 75 } });
  });
});

describe('the lines of a tree', () => {
  const node = (id: string): GraphNode => ({ id, task: id, label: id, queue: 'default', state: 'pending' });
  const shown = (nodes: string, edges: readonly (readonly [string, string, string?])[]) =>
    layOut(
      [...nodes].map(node),
      edges.map(([from, to, label]): GraphEdge => ({ from, to, ...(label !== undefined && { label }) })),
    ).map(
      ({ prefix, label, node: { id }, isRepeated }) =>
        `${prefix}${label === undefined ? '' : `${label}: `}${id}${isRepeated ? ' again' : ''}`,
    );

  test('stand below each other, and branches are set in', () => {
    const edges = [
      ['a', 'b'],
      ['b', 'c'],
      ['a', 'd'],
      ['c', 'e'],
      ['d', 'e'],
      ['e', 'f'],
    ] as const;
    expect(shown('abcdef', edges)).toEqual(['a', '├─ b', '│  c', '└─ d', 'e', 'f']);
  });

  test('begin with branches, where there is no first step', () => {
    expect(
      shown('abc', [
        ['a', 'c'],
        ['b', 'c'],
      ]),
    ).toEqual(['├─ a', '└─ b', 'c']);
    expect(shown('ab', [])).toEqual(['├─ a', '└─ b']);
    expect(shown('', [])).toEqual([]);
  });

  test('name cases, and leave out a branch without steps', () => {
    expect(
      shown('abc', [
        ['a', 'b', 'then'],
        ['b', 'c'],
        ['a', 'c', 'otherwise'],
      ]),
    ).toEqual(['a', '└─ then: b', 'c']);
  });

  test('tell what several branches come to once only', () => {
    const edges = [
      ['a', 'c'],
      ['a', 'd'],
      ['b', 'd'],
      ['d', 'e'],
    ] as const;
    expect(shown('abcde', edges)).toEqual(['├─ a', '│  ├─ c', '│  └─ d', '│     e', '└─ b', '   d again']);
  });

  test('end also where a stored graph turns round', () => {
    expect(
      shown('ab', [
        ['a', 'b'],
        ['b', 'a'],
        ['a', 'a'],
      ]),
    ).toEqual(['a', 'b']);
  });
});

test('pages are read until there is enough', async () => {
  const pages = new Map([
    [undefined, { items: [1], cursor: 'a' }],
    ['a', { items: [], cursor: 'b' }],
    ['b', { items: [2, 3], cursor: 'c' }],
  ]);
  const asked: number[] = [];
  const page = await upTo<number>(3, undefined, async ({ limit, cursor }) => {
    asked.push(limit);
    return pages.get(cursor) ?? { items: [] };
  });
  expect(page).toEqual({ items: [1, 2, 3], cursor: 'c' });
  expect(asked).toEqual([3, 2, 2]);
});

test('times are read and told', () => {
  expect(milliseconds('1.5h')).toBe(5_400_000);
  expect(milliseconds('5')).toBeUndefined();
  const before = pastMoment('2h').getTime(); // by this machine, while no app is open
  expect(Date.now() - before).toBeGreaterThanOrEqual(7_200_000);
  onTestFinished(() => setClock(Date.now));
  setClock(() => 10_000_000);
  expect(momentOf(pastMoment('2h')).getTime()).toBe(2_800_000);
  const typed = pastMoment('1s');
  setClock(() => 20_000_000); // an app was opened, whose store has another time
  expect(momentOf(typed).getTime()).toBe(19_999_000);
  expect(relative(new Date(19_995_000))).toBe('5.0s ago');
  expect(momentOf(new Date(5)).getTime()).toBe(5);
  expect(pastMoment('2030-01-31T08:00:00Z').toISOString()).toBe('2030-01-31T08:00:00.000Z');
  expect(() => pastMoment('yesterday')).toThrow('Expected a time such as');
  expect(relative(new Date(5000), 0)).toBe('in 5.0s');
  expect(relative(new Date(0), 5000)).toBe('5.0s ago');
  expect(longDuration(90 * 3_600_000)).toBe('3d18h');
});

describe('a frame of top', () => {
  const queue = (name: string) => ({
    name,
    counts: { waiting: 3, delayed: 0, 'waiting-children': 0, active: 0, completed: 0, failed: 0 },
    isPaused: false,
    concurrency: null,
    rateLimit: null,
    limitedMs: null,
    lost: null,
    oldestWaitingMs: 1000,
    workers: [],
    rates: { enqueued: 1, completed: 0, failed: 0, retried: 0 },
  });
  const snapshot = {
    at: new Date(0),
    app: 'shop',
    overMs: 1000,
    workers: Array.from({ length: 30 }, (_, index) => worker(`w${index}`, 'online')),
    queues: [...Array.from({ length: 30 }, (_, index) => queue(`q${index}`)), queue('\u001b[2Jbad')],
  };

  test.each([
    [40, 14],
    [120, 24],
    [20, 9],
  ])('fits %i columns and %i rows', (columns, rows) => {
    const lines = frame(snapshot, { columns, rows }, written().out.colors);
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(columns);
    expect(lines.join('')).toContain('more');
    expect(lines.join('')).not.toContain('\u001b');
  });

  describe('deserves a look where', () => {
    const now = 100_000;
    const at = (ms: number) => new Date(now + ms);
    const told = (workers: WorkerInfo[], ...queues: QueueInfo[]) =>
      findingsOf(workers, queues, now).map(({ id, status, message, hint }) => [id, status, message, hint]);
    const served = (name: string) => ({ ...queue(name), workers: ['w'] });

    test('jobs wait and nobody serves them, before workers that are gone', () => {
      expect(told([worker('w', 'missing')], queue('q'))).toEqual([
        [
          'unserved',
          'error',
          '3 jobs wait in queue q, which no worker serves',
          expect.stringContaining('umbel worker -q q'),
        ],
        [
          'missing-worker',
          'warning',
          expect.stringContaining('worker w is missing'),
          expect.stringContaining('leaves this list one hour'),
        ],
      ]);
    });

    test('a queue is paused', () => {
      expect(told([], { ...served('q'), isPaused: true })).toEqual([
        ['paused', 'warning', 'queue q is paused; 3 jobs wait', expect.stringContaining('control resume q')],
      ]);
    });

    test('a worker that is gone holds jobs, and with them the places of a limit', () => {
      const held = {
        ...served('q'),
        concurrency: 6,
        counts: { ...queue('q').counts, active: 6 },
        lost: { jobs: 6, workers: ['dead'], lastSeenAt: at(-12_000), freeAt: at(34_000) },
      };
      expect(told([], held)).toEqual([
        [
          'lost',
          'warning',
          expect.stringMatching(
            /^6 jobs of queue q are held by missing worker dead, last seen 12\S* ago; they use up the concurrency limit of 6, so no job starts$/,
          ),
          expect.stringContaining('in 34'),
        ],
      ]);
      expect(told([], { ...held, lost: { ...held.lost, freeAt: null } })[0]?.[1]).toBe('error');
    });

    test('a rate limit is used up', () => {
      const limited = { ...served('q'), limitedMs: 9000, rateLimit: { max: 2, durationMs: 60_000 } };
      expect(told([], limited)).toEqual([
        [
          'rate-limit',
          'warning',
          expect.stringMatching(/queue q starts no job for 9.*rate limit of 2 in 1m.*used up/),
          expect.stringContaining('control rate-limit q'),
        ],
      ]);
    });

    test('nothing is wrong, not', () => {
      expect(told([worker('w', 'online')], served('q'))).toEqual([]);
    });
  });
});
