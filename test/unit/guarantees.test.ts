/** docs/guarantees.md and the pages below name the tests that prove what they say: each must be there, and run. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { obstacleIn, obstacleTo } from '../support/linked-tests.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

interface Proof {
  readonly file: string;
  readonly title: string;
}

const LINK = /\]\(([^)\s]+\.ts) "([^"]+)"\)/g;

function proofsIn(page: string): Proof[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(LINK)].map(([, path = '', title = '']) => ({
    file: join(root, dirname(page), path),
    title,
  }));
}

/** Shapes are named beside their compositions. */
const SHAPES = join(root, 'packages/canvas/test/support/shapes.ts');

/** The file that lets workers die in each of the shapes, and its test. */
const KILL_POINTS = join(root, 'packages/canvas/test/fault/kill-points.test.ts');
const OF_SHAPES = '%s';

const shapeNames = [...readFileSync(SHAPES, 'utf8').matchAll(/^ {4}(?:'([^']+)'|(\w+)): shape\(/gm)].map(
  ([, quoted, bare]) => quoted ?? bare ?? '',
);

/** Why an ordinary run does not run it. */
function obstacleOf({ file, title }: Proof): string | undefined {
  const isShape = file === KILL_POINTS && shapeNames.includes(title);
  return obstacleTo(isShape ? OF_SHAPES : title, file);
}

describe.each([
  ['docs/guarantees.md', 90],
  ['docs/reliability.md', 25],
  ['docs/lifecycle.md', 90],
  ['docs/upgrading.md', 10],
])('%s', (page, atLeast) => {
  test('links to tests that run', () => {
    const proofs = proofsIn(page);
    expect(new Set(proofs.map(({ file, title }) => `${file} ${title}`)).size).toBeGreaterThan(atLeast);
    const obstacles = proofs.map((proof) => ({ ...proof, obstacle: obstacleOf(proof) }));
    expect(obstacles.filter(({ obstacle }) => obstacle !== undefined)).toEqual([]);
  });
});

test('a link to a test that there is not is found, also if its title stands elsewhere in the file', () => {
  const file = join(root, 'test/unit/guarantees.test.ts');
  expect(obstacleTo('links to tests that run', file)).toBeUndefined();
  expect(obstacleTo(['no such', 'test'].join(' '), file)).toBe('there is no such test');
  expect(obstacleTo('docs/guarantees.md', file)).toBe('there is no such test');
  expect(obstacleTo('links to tests that run', join(root, 'test/support/linked-tests.ts'))).toBe(
    'no project includes its file',
  );
});

test.each([
  ["test('a', () => { f(); })", undefined],
  ["describe.each([1])('%s', () => { test.each([1])('a', run); })", undefined],
  ["test.runIf(engine.name === 'redis').each([1])('a', () => { f(); })", undefined],
  ["const hourly = test.each([1]); hourly('a', () => { f(); })", undefined],
  ["// test('a', () => { f(); })", 'there is no such test'],
  ["describe('a', () => { test('b', () => { f(); }); })", 'there is no such test'],
  ["test.skip('a', () => { f(); })", 'skip'],
  ["test.skip.each([1])('a', () => { f(); })", 'skip'],
  ["test.todo('a')", 'todo'],
  ["test('a')", 'no body'],
  ["test('a', () => {})", 'no body'],
  ["test.fails('a', () => { f(); })", 'fails'],
  ["test.skipIf(process.env.CI)('a', () => { f(); })", 'skipIf'],
  ["test.runIf(process.env.UMBEL_LONG)('a', () => { f(); })", 'runIf'],
  ["const long = test.runIf(process.env.UMBEL_LONG); long('a', () => { f(); })", 'runIf'],
  ["if (process.env.CI) test('a', () => { f(); })", 'a condition'],
  ["describe.skip('b', () => { test('a', () => { f(); }); })", 'skip'],
  ["test('a', (context) => { context.skip(); })", 'skip'],
  ["test('a', ({ skip }) => { skip(); })", 'skip'],
  ["test('a', () => { f(); }); test.only('b', () => { f(); })", 'its file runs only others'],
])('whether a test runs is seen: %s', (text, obstacle) => {
  expect(obstacleIn('a', text)).toBe(obstacle);
});

test('docs/lifecycle.md names every state', () => {
  const text = readFileSync(join(root, 'docs/lifecycle.md'), 'utf8');
  const states = (file: string, pattern: RegExp) => {
    const [list = ''] = pattern.exec(readFileSync(join(root, 'packages/core/src', file), 'utf8')) ?? [];
    return [...list.matchAll(/'([\w-]+)'/g)].map(([, state]) => state);
  };
  const all = [
    ...states('job/states.ts', /const JOB_STATES = [^;]*/),
    ...states('worker/app-worker.ts', /readonly state: [^;]*/),
    ...states('control/worker-record.ts', /type WorkerState = [^;]*/),
    ...states('schedule/handle.ts', /readonly state: [^;]*/),
  ];
  expect(all).toHaveLength(10 + 5 + 3 + 5);
  expect(all.filter((state) => !text.includes(`| \`${state}\``))).toEqual([]);
});

test('docs/guarantees.md has a row for each shape that workers die in', () => {
  const named = proofsIn('docs/guarantees.md').map(({ title }) => title);
  expect(shapeNames.length).toBeGreaterThan(20);
  expect(shapeNames.filter((shape) => !named.includes(shape))).toEqual([]);
});
