import { type JobNode, nodesOf, type TaskExpression } from '@umbel/core/internal';
import { describe, expect, test } from 'vitest';
import type { NormalExpression } from '../../src/normalize.js';
import { planRun } from '../../src/plan.js';

const task = (name: string, more: Partial<TaskExpression> = {}): TaskExpression => ({
  kind: 'task',
  task: name,
  ...more,
});
const group = (...members: NormalExpression[]): NormalExpression => ({ kind: 'group', members });
const chain = (...steps: NormalExpression[]): NormalExpression =>
  ({ kind: 'chain', steps }) as NormalExpression;

const plan = (expression: NormalExpression, maxMembers = 10_000): JobNode =>
  planRun(expression, { optionsOf: ({ options }) => ({ queue: 'default', ...options }), maxMembers }).root;

/** The tree as text: `name@path(children)`; members that a fan-out will add in braces. */
function drawn(node: JobNode): string {
  const list = (nodes: readonly JobNode[]) => nodes.map(drawn).join(' ');
  const children = node.children?.length ? `(${list(node.children)})` : '';
  const members = node.expand ? `{below ${node.expand.parent.path}: ${list(nodesOf(node.expand))}}` : '';
  return `${node.name.replace('umbel:', '')}@${node.path}${members}${children}`;
}

describe('the plan', () => {
  test('of a chain makes each step the parent of the one before', () => {
    const root = plan(chain(task('a'), task('b'), task('c')));
    expect(drawn(root)).toBe('run@(c@0(b@0-1(a@0-0)))');
    expect(root.after).toEqual({ step: '0' });
    expect(root.children?.[0]?.after).toEqual({ step: '0-1' });
  });

  test('of a group makes the members children of the run', () => {
    const root = plan(group(task('a'), task('b')));
    expect(drawn(root)).toBe('run@(a@0.0 b@0.1)');
    expect(root.after).toEqual({ list: '0', count: 2 });
  });

  test('of a sleep puts its job between the steps', () => {
    const sleep = { kind: 'sleep', sleep: { ms: 5 } } as const;
    const root = plan(chain(task('a'), sleep, task('b')));
    expect(drawn(root)).toBe('run@(b@0(sleep@0-1(a@0-0)))');
    expect(root.children?.[0]?.children?.[0]).toMatchObject({ sleep: { ms: 5 }, after: { step: '0-0' } });
    expect(plan(chain(sleep, task('b'))).children?.[0]?.children?.[0]).toMatchObject({ open: true });
  });

  test('of a record keeps its keys', () => {
    const root = plan({ kind: 'group', members: [task('a'), task('b')], keys: ['left', 'right'] });
    expect(root.after).toEqual({ record: '0', keys: ['left', 'right'] });
  });

  test('of a chord makes the members children of the body', () => {
    const root = plan(chain(group(task('a'), task('b')), task('sum')));
    expect(drawn(root)).toBe('run@(sum@0(a@0-0.0 b@0-0.1))');
    expect(root.children?.[0]?.after).toEqual({ list: '0-0', count: 2 });
  });

  test('of a group after a step adds the members later, below the step that joins them', () => {
    expect(drawn(plan(chain(task('x'), group(task('a'), task('b')), task('sum'))))).toBe(
      'run@(sum@0(fan-out@0-1-fan{below 0: a@0-1.0 b@0-1.1}(x@0-0)))',
    );
  });

  test('of a group at the end of a chain joins in the run', () => {
    expect(drawn(plan(chain(task('x'), group(task('a')))))).toBe('run@(fan-out@0-fan{below : a@0.0}(x@0-0))');
  });

  test('of groups in a row lets the fan-out of one join the other', () => {
    expect(drawn(plan(chain(group(task('a'), task('b')), group(task('c'), task('d')), task('e'))))).toBe(
      'run@(e@0(fan-out@0-1-fan{below 0: c@0-1.0 d@0-1.1}(a@0-0.0 b@0-0.1)))',
    );
  });

  test('of a group inside a group collects its results into one', () => {
    expect(drawn(plan(group(task('a'), group(task('b'), task('c')))))).toBe(
      'run@(a@0.0 collect@0.1(b@0.1.0 c@0.1.1))',
    );
  });

  test('of a member that ends in a group collects there', () => {
    expect(drawn(plan(group(chain(task('a'), group(task('b'))))))).toBe(
      'run@(collect@0.0(fan-out@0.0-fan{below 0.0: b@0.0.0}(a@0.0-0)))',
    );
  });

  test('of an empty group waits for nothing', () => {
    expect(drawn(plan(chain(group(), task('sum'))))).toBe('run@(sum@0)');
    expect(plan(chain(group(), task('sum'))).children?.[0]?.after).toEqual({ list: '0-0', count: 0 });
  });

  test('leaves only starting steps open, and immutable ones never', () => {
    const root = plan(chain(group(task('a'), task('b', { immutable: true, input: 1 })), task('c')));
    const [c] = root.children ?? [];
    expect(c?.open).toBeUndefined();
    expect(c?.children?.map((node) => node.open)).toEqual([true, undefined]);
    const last = plan(chain(task('a'), task('b', { immutable: true, input: 1 }))).children?.[0];
    expect(last).toMatchObject({ after: { ignored: true }, input: 1 });
  });

  test('gives every job another id, whatever the nesting', () => {
    const deep = group(task('c'), chain(task('d'), group(task('e'))));
    const inner = [task('a'), group(task('b'), deep), task('f')];
    const root = plan(
      chain(...inner, group(chain(...inner), chain(...inner)), group(chain(...inner)), task('z')),
    );
    const paths: string[] = [];
    const visit = (node: JobNode): void => {
      paths.push(node.path);
      for (const next of [...(node.children ?? []), ...(node.expand ? nodesOf(node.expand) : [])])
        visit(next);
    };
    visit(root);
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths.every((path) => /^[0-9a-z.-]*$/.test(path))).toBe(true);
  });

  test('carries the options of each task', () => {
    const root = plan(task('a', { options: { queue: 'mail', priority: 2 } }));
    expect(root.children?.[0]).toMatchObject({ queue: 'mail', options: { priority: 2 } });
  });
});
