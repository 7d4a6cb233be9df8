import { expect, test } from 'vitest';
import { runGraph } from '../../src/workflow/graph.js';
import type { GraphNode } from '../../src/workflow/graph-parts.js';

const node = (id: string, more: Partial<GraphNode> = {}): GraphNode => ({
  id,
  task: 'task',
  label: 'task',
  queue: 'default',
  state: 'completed',
  ...more,
});

const hostile = 'say "hi" [x]\n<b>#1; `é` & \\';
const graph = runGraph(
  {
    id: 'run',
    before: [
      {
        id: 'b',
        node: node('b', { label: 'end', state: 'waiting-children' }),
        before: [{ id: 'a', node: node('a', { label: hostile }), before: [] }],
      },
    ],
    followers: [
      {
        part: { id: 'c', node: node('c', { state: 'rendering', startedAt: new Date(0) }), before: [] },
        kind: 'link',
        chance: 'sure',
      },
    ],
  },
  'run',
);

test('Mermaid: labels are quoted, and what could have a meaning in them is a number', () => {
  expect(graph.toMermaid()).toBe(
    [
      'flowchart LR',
      '  n0["say #34;hi#34; #91;x#93;<br/>#60;b#62;#35;1#59; #96;é#96; #38; #92;"]:::completed',
      '  n1["end"]:::waiting_children',
      '  n2["task"]:::active',
      '  n0 --> n1',
      '  n1 -.->|"link"| n2',
      '  classDef completed fill:#dcfce7,stroke:#16a34a,color:#18181b',
      '  classDef waiting_children fill:#f4f4f5,stroke:#a1a1aa,color:#18181b',
      '  classDef active fill:#dbeafe,stroke:#2563eb,color:#18181b',
      '',
    ].join('\n'),
  );
});

test('DOT: quotes, backslashes and line ends are escaped', () => {
  const lines = graph.toDot().split('\n');
  expect(lines[0]).toBe('digraph run {');
  expect(lines[3]).toBe(
    String.raw`  n0 [label="say \"hi\" [x]\n<b>#1; ${'`é`'} &amp; \\", class="completed", fillcolor="#dcfce7", color="#16a34a"];`,
  );
  expect(lines.slice(6, 9)).toEqual(['  n0 -> n1;', '  n1 -> n2 [label="link", style=dashed];', '}']);
});

test('JSON: moments are text, and everything else is as it is', () => {
  expect(JSON.parse(JSON.stringify(graph))).toEqual(graph.toJSON());
  expect(graph.toJSON().nodes[2]).toMatchObject({ id: 'c', startedAt: '1970-01-01T00:00:00.000Z' });
  expect(graph.toJSON()).toMatchObject({ id: 'run', jobs: 3, isExact: true });
});
