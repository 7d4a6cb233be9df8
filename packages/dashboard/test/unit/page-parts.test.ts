/** The pure parts of the page: moving in the graph, comparing runs, saved views, traces, commands. */

import { describe, expect, test } from 'vitest';
import { withDistinctLabels } from '../../page/src/graph/label.js';
import {
  bounded,
  fittingZoom,
  neighbourOf,
  scrollAfterZoom,
  scrollToShow,
  ZOOM,
} from '../../page/src/graph/viewport.js';
import { callCommands, deadLetterCommands, listCommands, quoted } from '../../page/src/parts/commands.js';
import { differencesOf, isDifferent, pairedSteps } from '../../page/src/parts/difference.js';
import { timesOf } from '../../page/src/parts/job-times.js';
import { viewsIn, withoutView, withView } from '../../page/src/parts/saved-list.js';
import { traceIdOf } from '../../page/src/parts/trace-id.js';

describe('the view of a graph', () => {
  test('keeps the point under the pointer while it zooms', () => {
    const scroll = { x: 300, y: 100 };
    const at = { x: 50, y: 20 };
    const after = scrollAfterZoom(scroll, at, 1, 2);
    expect({ x: (after.x + at.x) / 2, y: (after.y + at.y) / 2 }).toEqual({ x: 350, y: 120 });
    expect(scrollAfterZoom(after, at, 2, 1)).toEqual(scroll);
    expect([bounded(0), bounded(9)]).toEqual([ZOOM.min, ZOOM.max]);
  });

  test('fits the graph, and never enlarges it', () => {
    expect(fittingZoom({ width: 2000, height: 300 }, { width: 1000, height: 500 })).toBe(0.5);
    expect(fittingZoom({ width: 100, height: 100 }, { width: 1000, height: 500 })).toBe(1);
    expect(fittingZoom({ width: 1e6, height: 100 }, { width: 1000, height: 500 })).toBe(ZOOM.min);
  });

  test('moves only as far as a node needs', () => {
    const view = { width: 400, height: 300 };
    const node = { x: 500, y: 40, width: 100, height: 50 };
    expect(scrollToShow({ x: 300, y: 0 }, view, node, 1)).toEqual({ x: 300, y: 0 });
    expect(scrollToShow({ x: 0, y: 0 }, view, node, 1)).toEqual({ x: 224, y: 0 });
    expect(scrollToShow({ x: 900, y: 200 }, view, node, 1)).toEqual({ x: 476, y: 16 });
    expect(scrollToShow({ x: 0, y: 0 }, view, node, 2).x).toBe(1000 + 200 + 24 - 400);
  });

  test('leads the arrow keys to the nearest node in their direction', () => {
    const box = (name: string, x: number, y: number) => ({ name, x, y, width: 100, height: 40 });
    const [start, near, far, below] = [
      box('start', 0, 0),
      box('near', 200, 10),
      box('far', 400, 0),
      box('below', 0, 80),
    ];
    const nodes = [far, start, below, near];
    expect(neighbourOf(nodes, start, 'right')).toBe(near);
    expect(neighbourOf(nodes, near, 'right')).toBe(far);
    expect(neighbourOf(nodes, far, 'left')).toBe(near);
    expect(neighbourOf(nodes, start, 'down')).toBe(below);
    expect(neighbourOf(nodes, below, 'up')).toBe(start);
    expect(neighbourOf(nodes, start, 'left')).toBeUndefined();
  });
});

describe('two runs', () => {
  const node = (id: string, state = 'completed', more: object = {}) => ({
    ...{ id, task: 't', label: 't', queue: 'q', state, ...more },
  });

  test('have their steps paired by position', () => {
    const pairs = pairedSteps(
      ['run1', [node('run1.0-0'), node('run1.0')]],
      ['run2', [node('run2.0-0', 'failed'), node('run2.0'), node('run2.1')]],
    );
    expect(pairs.map(({ position, a, b }) => [position, a?.state, b?.state])).toEqual([
      ['.0-0', 'completed', 'failed'],
      ['.0', 'completed', 'completed'],
      ['.1', undefined, 'completed'],
    ]);
    expect(pairs.map(isDifferent)).toEqual([true, false, true]);
    const later = {
      position: '',
      a: node('a', 'completed', { durationMs: 5 }),
      b: node('a', 'completed', { durationMs: 9 }),
    };
    expect(isDifferent(later)).toBe(false);
    expect(isDifferent({ ...later, b: node('a', 'completed', { attempts: 2 }) })).toBe(true);
  });

  test('have their results compared value by value', () => {
    const a = { list: [1, { x: 1 }], same: true, gone: null, text: 'a' };
    const b = { list: [1, { x: 2 }, 3], same: true, text: 'b' };
    expect(differencesOf(a, b)).toEqual([
      { path: 'list[1].x', a: 1, b: 2 },
      { path: 'list[2]', a: undefined, b: 3 },
      { path: 'gone', a: null, b: undefined },
      { path: 'text', a: 'a', b: 'b' },
    ]);
    expect(differencesOf([1], { 0: 1 })).toEqual([{ path: '', a: [1], b: { 0: 1 } }]);
    expect(differencesOf(a, a)).toEqual([]);
    expect(differencesOf(JSON.parse('{"__proto__":1}'), {})).toEqual([
      { path: '__proto__', a: 1, b: undefined },
    ]);
    expect(differencesOf(Array(900).fill(1), Array(900).fill(2))).toHaveLength(200);
  });
});

test('saved views survive what others have written to the storage', () => {
  const view = { name: 'mail', path: '/jobs', q: 'task:mail.*' };
  for (const text of [null, '', '{', '{}', '[1, null, {"name": 1}]']) expect(viewsIn(text)).toEqual([]);
  expect(viewsIn(JSON.stringify([view, 'x']))).toEqual([view]);
  const changed = withView([view], { ...view, q: 'task:sms.*' });
  expect(changed).toEqual([{ ...view, q: 'task:sms.*' }]);
  expect(withView([view], { ...view, path: '/runs' })).toHaveLength(2);
  expect(withoutView(changed, view)).toEqual([]);
  const many = Array.from({ length: 40 }, (_, index) => ({ ...view, name: `${index}` }));
  expect(many.reduce(withView, viewsIn(null))).toHaveLength(30);
});

test('the trace of a job is the one of its header', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  expect(traceIdOf({ traceparent: `00-${id}-00f067aa0ba902b7-01` })).toBe(id);
  for (const wrong of ['', 'javascript:alert(1)', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, `${id}`])
    expect(traceIdOf({ traceparent: wrong })).toBeUndefined();
  expect(traceIdOf({})).toBeUndefined();
});

describe('commands', () => {
  test('quote what a shell would interpret', () => {
    expect(quoted('mail.send')).toBe('mail.send');
    expect(quoted("it's $(rm)")).toBe(`'it'\\''s $(rm)'`);
    expect(quoted('')).toBe(`''`);
  });

  test('have the parts of a search that the command line has', () => {
    expect(
      listCommands('jobs', 'state:failed task:"mail send" -tag:x tag:acme* run:r after:2h text'),
    ).toEqual({
      cli: `umbel jobs list --state failed --task 'mail send' --run r`,
      code: 'await app.jobs.list({ state: "failed", task: "mail send", run: "r" })',
    });
    expect(listCommands('runs', 'state:retrying task:x tag:acme')).toEqual({
      cli: 'umbel runs list --task x --tag acme',
      code: 'await app.runs.list({ task: "x", tag: "acme" })',
    });
    expect(deadLetterCommands({ task: '', error: 'RangeError', queue: '' }).cli).toBe(
      'umbel dead list --error RangeError',
    );
    expect(callCommands('add', { a: "1'" })).toEqual({
      cli: `umbel call add --input '{"a":"1'\\''"}'`,
      code: `await app.send("add", {"a":"1'"})`,
    });
    expect(callCommands('add', undefined).cli).toBe('umbel call add');
  });
});

test('steps of different tasks with one display name are labelled with their tasks', () => {
  const node = (task: string, label: string) => ({ id: task, task, label, queue: 'q', state: 'completed' });
  const labels = (...nodes: ReturnType<typeof node>[]) => withDistinctLabels(nodes).map(({ label }) => label);
  expect(labels(node('resize', 'album'), node('publish', 'album'), node('mail', 'to Ada'))).toEqual([
    'resize',
    'publish',
    'to Ada',
  ]);
  expect(labels(node('resize', 'a.jpg'), node('resize', 'a.jpg'))).toEqual(['a.jpg', 'a.jpg']);
});

test('a job between two attempts does not run, and one with earlier attempts waited for none of them', () => {
  const enqueuedAt = new Date(0).toISOString();
  const startedAt = new Date(3000).toISOString();
  const finishedAt = new Date(5000).toISOString();
  const sent = { enqueuedAt, startedAt };
  expect(timesOf({ state: 'waiting', attempts: 0, enqueuedAt }, 60_000)).toEqual([]);
  expect(timesOf({ state: 'delayed', attempts: 1, ...sent }, 60_000)).toEqual([]);
  expect(timesOf({ state: 'active', attempts: 0, ...sent }, 60_000)).toEqual([
    ['Waited', 3000],
    ['Took', 57_000],
  ]);
  expect(timesOf({ state: 'active', attempts: 1, ...sent }, 60_000)).toEqual([['Last attempt took', 57_000]]);
  expect(timesOf({ state: 'completed', attempts: 1, ...sent, finishedAt }, 60_000)).toEqual([
    ['Waited', 3000],
    ['Took', 2000],
  ]);
  expect(timesOf({ state: 'failed', attempts: 2, ...sent, finishedAt }, 60_000)).toEqual([
    ['Last attempt took', 2000],
  ]);
});
