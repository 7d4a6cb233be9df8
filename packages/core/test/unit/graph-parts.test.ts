/** Graphs and counts of parts that were read from a store. */
import { describe, expect, test } from 'vitest';
import { runGraph } from '../../src/workflow/graph.js';
import { type GraphNode, type Part, summaryOf } from '../../src/workflow/graph-parts.js';
import { folded, repeated, runCountsOf, spanning, tallyOf } from '../../src/workflow/graph-tally.js';
import { drawn } from '../../src/workflow/graph-text.js';

function part(id: string, state = 'completed', more: Partial<Part> & { task?: string } = {}): Part {
  const { task = 'task', ...rest } = more;
  const node: GraphNode = { id, task, label: task, queue: 'default', state };
  return { id, node, before: [], ...rest };
}

const run = (...before: Part[]): Part => ({ id: 'r', before });
const members = (count: number, stateOf: (index: number) => string) =>
  Array.from({ length: count }, (_, index) =>
    part(`r.0.${index}`, stateOf(index), { before: [part(`r.0.${index}-0`)] }),
  );

describe('members of one shape', () => {
  test('are folded with their states counted, place by place', () => {
    const graph = runGraph(run(...members(25, (index) => (index < 5 ? 'active' : 'completed'))), 'r');
    expect(graph.nodes).toMatchObject([
      { id: 'r.0.*-0', count: 25, counts: { completed: 25 }, state: 'completed' },
      { id: 'r.0.*', count: 25, counts: { active: 5, completed: 20 }, state: 'active' },
    ]);
    expect(graph.edges).toEqual([{ from: 'r.0.*-0', to: 'r.0.*' }]);
  });

  test('stay what they are if they are few, or differ', () => {
    expect(runGraph(run(...members(20, () => 'completed')), 'r').nodes).toHaveLength(40);
    const two = Array.from({ length: 30 }, (_, i) =>
      part(`r.0.${i}`, 'completed', { task: i < 15 ? 'a' : 'b' }),
    );
    expect(runGraph(run(...two), 'r').nodes).toHaveLength(30);
  });

  test('of different groups are not folded together', () => {
    const both = [0, 1].flatMap((list) =>
      Array.from({ length: 15 }, (_, i) => ({ part: part(`r.${list}.${i}`) })),
    );
    expect(folded(both, () => '')).toHaveLength(30);
  });

  test('that were counted and not read are one part; those that run now are told apart', () => {
    const [sample] = members(1, () => 'waiting') as [Part];
    const many = repeated(sample, { completed: 60, pending: 40 }, new Map([['r.0.*-0', 3]]));
    expect(drawn(run(many)).nodes).toMatchObject([
      { id: 'r.0.*-0', count: 100, counts: { completed: 60, active: 3, pending: 37 } },
      { id: 'r.0.*', count: 100, counts: { completed: 60, pending: 40 } },
    ]);
  });
});

describe('a folded node', () => {
  const at = (second: number) => new Date(second * 1000);
  const timed = (index: number, state: string) =>
    part(`r.0.${index}`, state, {
      node: {
        ...{ id: `r.0.${index}`, task: 'task', label: 'task', queue: 'default', state },
        startedAt: at(100 - index),
        ...(state === 'completed' && { finishedAt: at(200 - index) }),
      },
    });
  const nodeOf = (parts: readonly Part[]) => runGraph(run(...parts), 'r').nodes[0];

  test('lasts from the earliest start to the latest end, once all have ended', () => {
    const ended = Array.from({ length: 30 }, (_, index) => timed(index, 'completed'));
    expect(nodeOf(ended)).toMatchObject({ count: 30, startedAt: at(71), finishedAt: at(200) });
    const running = [...ended.slice(1), timed(0, 'active')];
    expect(nodeOf(running)).toMatchObject({ startedAt: at(71) });
    expect(nodeOf(running)).not.toHaveProperty('finishedAt');
    expect(nodeOf(Array.from({ length: 30 }, (_, index) => part(`r.0.${index}`)))).not.toHaveProperty(
      'startedAt',
    );
  });

  test('of members of which samples were read lasts as long as these', () => {
    const [first, last] = [timed(0, 'completed'), timed(60, 'completed')];
    const many = (states: Record<string, number>) =>
      drawn(run(repeated(spanning(first, [first, last]), states))).nodes[0];
    expect(many({ completed: 61 })).toMatchObject({ count: 61, startedAt: at(40), finishedAt: at(200) });
    expect(many({ completed: 60, active: 1 })).toMatchObject({ startedAt: at(40) });
    expect(many({ completed: 60, active: 1 })).not.toHaveProperty('finishedAt');
  });
});

describe('a graph', () => {
  test('leads from who has added a member to it, and to what was put in the place of a step', () => {
    const adder = part('r.0.0', 'completed', { task: 'adder' });
    const added = part('r.0.0++0', 'completed', { task: 'added', addedBy: 'r.0.0' });
    const inner = part('r.1~', 'completed', { task: 'inner' });
    const replaced = part('r.1', 'completed', {
      task: 'replaced',
      before: [adder, added],
      followers: [{ part: inner, chance: 'sure', joins: 'instead' }],
    });
    const { edges } = drawn(run(part('r.2', 'completed', { task: 'last', before: [replaced] })));
    expect(edges).toEqual([
      { from: 'r.0.0', to: 'r.0.0++0' },
      { from: 'r.0.0', to: 'r.1' },
      { from: 'r.0.0++0', to: 'r.1' },
      { from: 'r.1', to: 'r.1~' },
      { from: 'r.1~', to: 'r.2' },
    ]);
  });
});

describe('a tally', () => {
  const branches = (isOptional?: true): Part => ({
    id: 'r.0-fan',
    before: [],
    adds: {
      below: 'r',
      parts: [
        { part: part('r.0:0', 'pending', { before: [part('r.0:0-0', 'pending')] }), chance: 'choice' },
        { part: part('r.0:1', 'pending'), chance: 'choice' },
      ],
      ...(isOptional && { isOptional }),
    },
  });

  test('takes the branch with the fewest jobs', () => {
    expect(tallyOf(run(branches()))).toMatchObject({ jobs: 1, isExact: false, states: { pending: 1 } });
    expect(tallyOf(run(branches(true)))).toMatchObject({ jobs: 0, isExact: false });
  });

  test('leaves out what follows the run, unless it is asked for', () => {
    const linked: Part = {
      ...run(part('r.0')),
      followers: [{ part: part('c'), kind: 'link', chance: 'sure' }],
    };
    expect(tallyOf(linked).jobs).toBe(1);
    expect(tallyOf(linked, true).jobs).toBe(2);
  });

  test('counts a state of the task’s own as running, and one that waits for earlier tasks as pending', () => {
    const counts = runCountsOf(
      run(part('a', 'rendering'), part('b', 'waiting-children'), part('c', 'unknown'), part('d', 'delayed')),
    );
    expect(counts).toMatchObject({ total: 4, done: 1, active: 1, pending: 1, unknown: 1, delayed: 1 });
  });
});

test.each([
  [{ completed: 3 }, 'completed'],
  [{ completed: 3, failed: 1 }, 'failed'],
  [{ completed: 3, skipped: 1 }, 'completed'],
  [{ completed: 3, waiting: 1 }, 'active'],
  [{ waiting: 3, delayed: 1 }, 'waiting'],
  [{ waiting: 3, active: 1 }, 'active'],
  [{ completed: 0, revoked: 1 }, 'revoked'],
  [{}, 'pending'],
])('%o together is %s', (counts, state) => {
  expect(summaryOf(counts)).toBe(state);
});
