/** The arithmetic of the page: forms from schemas, the scale and the critical path of a timeline. */
import { describe, expect, test } from 'vitest';
import { fieldsOf, formValueOf } from '../../page/src/parts/schema-fields.js';
import { criticalPath, rowsOf, squeezed } from '../../page/src/views/timeline-scale.js';

describe('a form', () => {
  const schema = {
    type: 'object',
    properties: {
      to: { type: 'string', description: 'Address' },
      count: { type: 'integer' },
      isUrgent: { type: 'boolean' },
      kind: { enum: ['a', 'b'] },
      parts: { type: 'array' },
    },
    required: ['to'],
  };

  test('has a field for each property of an object', () => {
    expect(fieldsOf(schema)?.map(({ name, kind, isRequired }) => [name, kind, isRequired])).toEqual([
      ['to', 'text', true],
      ['count', 'number', false],
      ['isUrgent', 'boolean', false],
      ['kind', 'choice', false],
      ['parts', 'json', false],
    ]);
    for (const other of [null, {}, { type: 'array' }, { type: 'object' }, { type: 'object', properties: [] }])
      expect(fieldsOf(other)).toBeUndefined();
  });

  test('has a field for each property of a definition that the schema refers to', () => {
    const $defs = {
      Tree: { type: 'object', properties: { kind: { $ref: '#/$defs/Kind' } } },
      Kind: { type: 'string' },
    };
    for (const $ref of ['#/$defs/Tree', 'Tree'])
      expect(fieldsOf({ $ref, $defs })).toMatchObject([{ name: 'kind', kind: 'text' }]);
    expect(fieldsOf({ $ref: '#/$defs/Other', $defs })).toBeUndefined();
  });

  test('makes a value, without the empty fields', () => {
    const fields = fieldsOf(schema) ?? [];
    const texts = { to: 'a@b.c', count: '3', isUrgent: 'false', parts: '[1]', kind: '' };
    expect(formValueOf(fields, texts)).toEqual({ to: 'a@b.c', count: 3, isUrgent: false, parts: [1] });
    expect(() => formValueOf(fields, { parts: '[' })).toThrow(/no JSON/);
  });
});

describe('a timeline', () => {
  test('squeezes long pauses and keeps the order', () => {
    const { shareOf, gaps } = squeezed([
      { from: 0, to: 100 },
      { from: 50, to: 120 },
      { from: 10_000, to: 10_080 },
    ]);
    expect(gaps).toEqual([{ at: expect.any(Number), ms: 9880 }]);
    const shares = [0, 60, 120, 5000, 10_000, 10_080].map(shareOf);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares[0]).toBe(0);
    expect(shares.at(-1)).toBe(1);
    expect((shares[4] ?? 0) - (shares[2] ?? 0)).toBeCloseTo(10 / 210, 5); // a twentieth of the 200 ms that ran
  });

  test('shows how long each step was queued, retried, slept, waited and ran', () => {
    const time = (second: number) => new Date(second * 1000).toISOString();
    const node = (id: string, facts: object) => ({
      id,
      task: id,
      label: id,
      queue: 'q',
      state: 'completed',
      ...facts,
    });
    const nodes = [
      node('a', { attempts: 1, startedAt: time(1), finishedAt: time(2) }),
      node('sleep', { kind: 'sleep', finishedAt: time(102) }),
      node('retried', { attempts: 3, startedAt: time(110), finishedAt: time(111) }),
      node('signal', { kind: 'waitFor', state: 'delayed' }),
      node('again', { state: 'delayed', attempts: 1, startedAt: time(103) }),
      node('active', { state: 'active', attempts: 0, startedAt: time(104) }),
      node('due', { state: 'waiting' }),
      node('later', { state: 'delayed' }),
      node('behind', { state: 'waiting-children' }),
      node('pending', { state: 'pending' }),
      node('skipped', { kind: 'sleep', state: 'skipped' }),
    ];
    const after = (from: string, ...ids: string[]) => ids.map((to) => ({ from, to }));
    const edges = [
      ...after('a', 'sleep', 'pending', 'skipped'),
      ...after('sleep', 'retried', 'signal', 'again', 'active', 'due', 'later'),
      ...after('signal', 'behind'),
    ];
    const rows = rowsOf({ nodes, edges } as never, 0, 120_000);
    const shown = rows.map((row) => [
      row.node.id,
      ...row.parts.map(({ kind, from, to }) => `${kind} ${from / 1000}-${to / 1000}`),
    ]);
    expect(shown).toEqual([
      ['a', 'queued 0-1', 'ran 1-2'],
      ['sleep', 'slept 2-102'],
      ['retried', 'retried 102-110', 'ran 110-111'],
      ['signal', 'waited 102-120'],
      ['again', 'retried 102-120'],
      ['active', 'queued 102-104', 'ran 104-120'],
      ['due', 'queued 102-120'],
      ['later', 'waited 102-120'],
    ]);
    expect(rowsOf({ nodes: [], edges: [] }, 0, 1)).toEqual([]);
  });

  test('squeezes waits, also before the first and after the last step that ran', () => {
    const { shareOf, gaps } = squeezed(
      [{ from: 1000, to: 1100 }],
      [
        { from: 0, to: 1000 },
        { from: 1100, to: 90_000 },
      ],
    );
    expect([0, 1000, 1100, 90_000].map(shareOf)).toEqual([0, 5, 105, 110].map((at) => at / 110));
    expect(gaps.map(({ ms }) => ms)).toEqual([1000, 88_900]);
    const nothingRan = squeezed([], [{ from: 0, to: 1000 }]);
    expect([0, 250, 1000].map(nothingRan.shareOf)).toEqual([0, 0.25, 1]);
    expect(nothingRan.gaps).toEqual([]);
  });

  test('shows one instant, and nothing, without dividing by nothing', () => {
    expect(squeezed([{ from: 5, to: 5 }]).shareOf(5)).toBe(0);
    expect(squeezed([]).shareOf(5)).toBe(0);
  });

  test('marks the steps that decided when the run ended', () => {
    const node = (id: string, second: number) => ({
      ...{ id, task: id, label: id, queue: 'q', state: 'completed' },
      finishedAt: new Date(second * 1000).toISOString(),
    });
    const nodes = [node('a', 1), node('b', 3), node('c', 4), { ...node('d', 0), finishedAt: '' }];
    const edges = [
      { from: 'a', to: 'c' },
      { from: 'b', to: 'c' },
      { from: 'c', to: 'd' },
    ];
    expect([...criticalPath({ nodes, edges })]).toEqual(['c', 'b']);
    expect(criticalPath({ nodes: [], edges: [] }).size).toBe(0);
  });
});
