import { describe, expect, test } from 'vitest';
import { foldTree, type JobNode, jobsOf } from '../../src/job/job-tree.js';

const job = (path: string, children?: JobNode[]): JobNode => ({
  path,
  name: 'task',
  queue: 'default',
  ...(children !== undefined && { children }),
});

const tree = job('run', [job('c', [job('a'), job('b', [])]), job('d')]);

function chainOf(length: number): JobNode {
  let node = job('0');
  for (let step = 1; step < length; step += 1) node = job(String(step), [node]);
  return node;
}

describe('the jobs of a tree', () => {
  test('come after those they wait for, in their order', () => {
    expect(Array.from(jobsOf(tree), ({ path }) => path)).toEqual(['a', 'b', 'c', 'd', 'run']);
  });

  test('of a chain of 100,000 steps do so as well', () => {
    const paths = Array.from(jobsOf(chainOf(100_000)), ({ path }) => path);
    expect(paths).toHaveLength(100_000);
    expect(paths.slice(0, 3)).toEqual(['0', '1', '2']);
  });
});

describe('a folded tree', () => {
  test('is made of what was made of the jobs that each waits for', () => {
    const told = foldTree<string>(tree, ({ path }, below) => (below ? `${path}(${below.join(' ')})` : path));
    expect(told).toBe('run(c(a b()) d)');
  });

  test('may be as deep as a chain of 100,000 steps', () => {
    expect(foldTree<number>(chainOf(100_000), (_, [below = 0] = []) => below + 1)).toBe(100_000);
  });
});
