/** What a composition tells of its run before it is sent. */
import { chain, chord, chunks, fallback, flat, group, map, match, when } from '@umbel/canvas';
import { createApp, defineTask } from '@umbel/core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { drawn } from '../support/drawn.js';

const app = createApp({ name: 'graphs' });
const task = (name: string) =>
  app.task({ name, input: z.unknown(), output: z.any(), run: async (value) => value });
const [a, b, c, x, y] = [task('a'), task('b'), task('c'), task('x'), task('y')];
const list = app.task({ name: 'list', output: z.array(z.number()), run: async () => [] });
const calls = (count: number, step: typeof a) => Array.from({ length: count }, (_, index) => step.si(index));

test('a single call is one node, its callbacks are others', () => {
  expect(a.graph()).toMatchObject({
    nodes: [{ id: '0', task: 'a', label: 'a', queue: 'default', state: 'pending' }],
    edges: [],
    jobs: 1,
    isExact: true,
  });
  const linked = a.link(b).linkError(c).finally(x).graph();
  expect(drawn(linked)).toEqual(['a b c x', 'a→b link', 'a→c linkError', 'a→x finally']);
  expect(linked.jobs).toBe(3); // nothing is expected to fail
});

test('edges go through the jobs between the tasks', () => {
  expect(drawn(chain(x, group([a, b]), y).graph())).toEqual(['x a b y', 'x→a', 'x→b', 'a→y', 'b→y']);
  expect(drawn(chain(group([a, b]), group([c, x]), y).graph())).toEqual([
    'a b c x y',
    'a→c',
    'b→c',
    'a→x',
    'b→x',
    'c→y',
    'x→y',
  ]);
  expect(drawn(chain(x, group({ one: a, two: group([b, chain(c, c)]) }), y).graph())).toEqual([
    'x a b c c y',
    'x→a',
    'x→b',
    'x→c',
    'c→c',
    'a→y',
    'b→y',
    'c→y',
  ]);
  expect(drawn(chain(x, group([]), y).graph())).toEqual(['x y', 'x→y']);
  expect(drawn(chain(flat(group([list, list])), y).graph())).toEqual(['list list y', 'list→y', 'list→y']);
  expect(drawn(chain(x, group.any([a, b]), y).graph())).toEqual(['x a b y', 'x→a', 'x→b', 'a→y', 'b→y']);
});

test('branches are labelled, and the smallest one counts', () => {
  const either = chain(x, match('kind', { big: a, small: chain(b, c) }) as never, y).graph();
  expect(drawn(either)).toEqual(['x a b c y', 'x→a big', 'x→b small', 'b→c', 'a→y', 'c→y']);
  expect(either).toMatchObject({ jobs: 3, isExact: false });
  expect(new Set(either.nodes.map(({ id }) => id)).size).toBe(5);
  const equal = chain(x, when({ n: 1 }, a, b) as never, y).graph();
  expect(drawn(equal)).toEqual(['x a b y', 'x→a then', 'x→b otherwise', 'a→y', 'b→y']);
  expect(equal).toMatchObject({ jobs: 3, isExact: true });
  const tested = chain(x, when(c as never, a) as never, y).graph();
  expect(drawn(tested)).toEqual(['x c a y', 'x→c', 'c→a then', 'c→y otherwise', 'a→y']);
  expect(tested).toMatchObject({ jobs: 3, isExact: false });
});

test('the other step of a fallback stands after the one that may fail, and is no job yet', () => {
  const graph = chain(x, fallback(a, b), y).graph();
  expect(drawn(graph)).toEqual(['x a b y', 'x→a', 'a→b fallback', 'a→y', 'b→y']);
  expect(graph).toMatchObject({ jobs: 3, isExact: true });
});

test('a map over a list that is not there yet is one node', () => {
  const graph = chain(list, map(chain(a, b)), y).graph();
  expect(drawn(graph)).toEqual(['list a×n b×n y', 'list→a', 'a→b', 'b→y']);
  expect(graph).toMatchObject({ jobs: 2, isExact: false });
  expect(graph.toMermaid()).toContain('["a × n"]');
  expect(chain(list, chunks(a, 2), y).graph()).toMatchObject({ jobs: 2, isExact: false });
  expect(chunks(a, [1, 2, 3, 4, 5], 2).graph()).toMatchObject({ jobs: 3, isExact: true });
});

test('more than twenty members of one shape are one node', () => {
  expect(drawn(group(calls(20, a)).graph())[0]).toBe(Array(20).fill('a').join(' '));
  expect(drawn(group(calls(21, a)).graph())).toEqual(['a×21']);
  const mixed = group([...calls(30, a), x, ...calls(25, b)]).graph();
  expect(drawn(mixed)).toEqual(['a×30 x b×25']);
  expect(mixed.jobs).toBe(56);
  expect(new Set(mixed.nodes.map(({ id }) => id)).size).toBe(3);
});

test('a group of more than a slice is one, at the start and after a step', () => {
  const steps = Array.from({ length: 205 }, (_, index) => chain(a.si(index), b));
  expect(drawn(chord(group(steps), y).graph())).toEqual(['a×205 b×205 y', 'a→b', 'b→y']);
  const later = chain(x, group(steps), y).graph();
  expect(drawn(later)).toEqual(['x a×205 b×205 y', 'x→a', 'a→b', 'b→y']);
  expect(later).toMatchObject({ jobs: 412, isExact: true });
  const nested = group([group(calls(30, a)), group(calls(30, a))]).graph();
  expect(drawn(nested)).toEqual(['a×30 a×30']);
  expect(drawn(map(group(calls(30, a)), Array(50).fill(1)).graph())).toEqual(['a×1500']);
});

test('members that are read lazily are not read', () => {
  function* members() {
    yield a;
    throw new Error('read');
  }
  const graph = chord(group(members()), y).graph();
  expect(drawn(graph)).toEqual(['y']);
  expect(graph).toMatchObject({ jobs: 1, isExact: false });
});

test('callbacks of steps and of the whole stand after what they follow', () => {
  const graph = chain(x, group([a, b]).link(c), y)
    .finally(group([a, b]))
    .graph();
  expect(drawn(graph)).toEqual([
    'x a b c y a b',
    'x→a',
    'x→b',
    'a→c link',
    'b→c link',
    'a→y',
    'b→y',
    'y→a finally',
    'y→b finally',
  ]);
  expect(graph.jobs).toBe(7);
});

test('labels are display names', () => {
  const graph = chain(x.set({ displayName: 'Invoice 7' }), y).graph();
  expect(graph.nodes.map(({ task: name, label }) => [name, label])).toEqual([
    ['x', 'Invoice 7'],
    ['y', 'y'],
  ]);
});

test('the same composition gives the same graph, as JSON too', () => {
  const text = () => JSON.stringify(chain(x, group(calls(30, a)), y).graph());
  expect(text()).toBe(text());
  expect(JSON.parse(text())).toEqual({
    nodes: [
      { id: '0-0', task: 'x', label: 'x', queue: 'default', state: 'pending' },
      { id: '0-1.*', task: 'a', label: 'a', queue: 'default', state: 'pending', count: 30 },
      { id: '0', task: 'y', label: 'y', queue: 'default', state: 'pending' },
    ],
    edges: [
      { from: '0-0', to: '0-1.*' },
      { from: '0-1.*', to: '0' },
    ],
    jobs: 32,
    isExact: true,
  });
});

test('a task without an app has no graph, an empty group an empty one', () => {
  expect(() => defineTask({ name: 'lonely' }).graph()).toThrow('lonely');
  expect(group([]).graph()).toMatchObject({ nodes: [], edges: [], jobs: 0, isExact: true });
});
