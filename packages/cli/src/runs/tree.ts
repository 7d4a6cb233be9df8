import type { GraphNode, RunGraph } from '@umbel/core';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { painted, shortText } from '../operating/show.js';
import type { Colors, Output } from '../output/output.js';
import { cleanLine, shortDuration } from '../output/text.js';
import { layOut } from './layout.js';

export const tree = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('the steps of a run, with their states')
      .description(
        'Prints the steps of a run with their states: what follows one after the other stands below each other, branches are ' +
          'set in. Many equal members of a group are one line.',
      )
      .argument('<id>', 'id of a run');
    operatorFlags(command);
    examples(command, [['umbel runs tree 3f2a91c0-… --name shop', 'where it stands']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const handle = app.result(id);
      const [graph, state] = await Promise.all([handle.graph(), handle.state()]);
      if (out.isJson) out.document('run-tree', { state, ...graph.toJSON() });
      else {
        out.data(`${out.colors.bold(cleanLine(id))}  ${painted(state, out.colors)}`);
        printTree(out, graph);
      }
      return EXIT.ok;
    }),
});

const SIGN: Readonly<Record<string, string>> = {
  completed: '✓',
  failed: '✗',
  active: '▶',
  revoked: '⊘',
  expired: '⊘',
  skipped: '–',
};

function printTree(out: Output, { nodes, edges }: RunGraph): void {
  const { colors } = out;
  const lines = layOut(nodes, edges);
  const width = Math.max(
    0,
    ...lines.map(({ prefix, node, label }) => nameOf(node, label).length + prefix.length),
  );
  for (const { prefix, label, node, isRepeated } of lines) {
    const name = nameOf(node, label);
    const padding = ' '.repeat(Math.max(0, width - name.length - prefix.length));
    const facts = isRepeated ? [colors.dim('see above')] : factsOf(node, colors);
    out.data(`${colors.dim(prefix)}${signOf(node)} ${name}${padding}  ${facts.join('  ')}`);
  }
}

function nameOf({ label, count = 1, isEach }: GraphNode, how: string | undefined): string {
  const many = isEach ? ' × each' : count > 1 ? ` × ${count}` : '';
  return `${how === undefined ? '' : `${cleanLine(how)}: `}${cleanLine(label)}${many}`;
}

function signOf({ state, counts = {} }: GraphNode): string {
  if (Object.keys(counts).length > 1) return '▶';
  return Object.hasOwn(SIGN, state) ? (SIGN[state] ?? '·') : '·';
}

function factsOf(node: GraphNode, colors: Colors): string[] {
  const { state, counts, attempts = 0, durationMs, error } = node;
  const states =
    counts === undefined
      ? painted(state, colors)
      : Object.entries(counts)
          .map(([each, count]) => `${count} ${painted(each, colors)}`)
          .join(', ');
  return [
    states,
    ...(durationMs === undefined ? [] : [shortDuration(durationMs)]),
    ...(attempts > 1 ? [`${attempts} attempts`] : []),
    ...(error === undefined ? [] : [colors.red(shortText(error, 100))]),
  ];
}
