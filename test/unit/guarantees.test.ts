/** docs/guarantees.md and the pages below name the tests that prove what they say: each must be there. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

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

function holds({ file, title }: Proof): boolean {
  const text =
    readFileSync(file, 'utf8') + (file.endsWith('kill-points.test.ts') ? readFileSync(SHAPES, 'utf8') : '');
  return [`'${title}'`, `    ${title}: shape(`].some((spelling) => text.includes(spelling));
}

describe.each([
  ['docs/guarantees.md', 150],
  ['docs/reliability.md', 25],
  ['docs/lifecycle.md', 90],
  ['docs/upgrading.md', 10],
])('%s', (page, atLeast) => {
  test('links to tests that there are', () => {
    const proofs = proofsIn(page);
    expect(proofs.length).toBeGreaterThan(atLeast);
    expect(proofs.filter((proof) => !holds(proof))).toEqual([]);
  });
});

test('a link to a test that there is not is found', () => {
  const file = join(root, 'test/unit/guarantees.test.ts');
  expect(holds({ file, title: 'links to tests that there are' })).toBe(true);
  expect(holds({ file, title: ['no such', 'test'].join(' ') })).toBe(false);
});

test('docs/lifecycle.md names every state', () => {
  const text = readFileSync(join(root, 'docs/lifecycle.md'), 'utf8');
  const states = (file: string, pattern: RegExp) => {
    const [list = ''] = pattern.exec(readFileSync(join(root, 'packages/core/src', file), 'utf8')) ?? [];
    return [...list.matchAll(/'([\w-]+)'/g)].map(([, state]) => state);
  };
  const all = [
    ...states('results/state.ts', /const JOB_STATES = [^;]*/),
    ...states('running/worker/app-worker.ts', /readonly state: [^;]*/),
    ...states('control/worker-record.ts', /type WorkerState = [^;]*/),
    ...states('schedules/info.ts', /readonly state: [^;]*/),
  ];
  expect(all).toHaveLength(10 + 5 + 3 + 5);
  expect(all.filter((state) => !text.includes(`| \`${state}\``))).toEqual([]);
});

test('docs/guarantees.md has a row for each shape that workers die in', () => {
  const shapes = [...readFileSync(SHAPES, 'utf8').matchAll(/^ {4}(?:'([^']+)'|(\w+)): shape\(/gm)].map(
    ([, quoted, bare]) => quoted ?? bare,
  );
  const named = proofsIn('docs/guarantees.md').map(({ title }) => title);
  expect(shapes.length).toBeGreaterThan(20);
  expect(shapes.filter((shape) => shape === undefined || !named.includes(shape))).toEqual([]);
});
