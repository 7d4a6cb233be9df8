/** `umbel graph`: prints the graph of a workflow that a module exports, or of a run. */
import type { RunGraph } from '@umbel/core';
import { Option } from 'commander';
import { checkStoreIsShared, withApp } from '../app-commands.js';
import { signatureOf } from '../app-loader.js';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors.js';
import { examples, type NamedAppFlags, namedAppFlags, type OutputFlags, outputFlags } from '../flags.js';
import { clean, cleanLine, type Output, shortDuration, table } from '../output.js';

export interface GraphFormat {
  readonly format: 'mermaid' | 'dot' | 'json' | 'table';
}

type GraphFlags = NamedAppFlags & OutputFlags & GraphFormat;

export default defineCommand<GraphFlags>({
  define(command) {
    command
      .description(
        'Print the graph of a workflow that a module exports, without sending it. With the id of a workflow run, print its graph ' +
          'with the current states of its jobs.',
      )
      .argument('<target>', 'Module and export, such as ./pipeline.ts#pipeline, or id of a workflow run')
      .addOption(
        new Option('-f, --format <format>', 'Output format')
          .choices(['mermaid', 'dot', 'json', 'table'])
          .default('mermaid'),
      );
    namedAppFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel graph ./pipeline.ts#nightly', 'print a Mermaid flowchart'],
      ['umbel graph ./pipeline.ts -f dot | dot -Tsvg > p.svg', 'draw it with Graphviz'],
      ['umbel graph 3f2a91c0-… --name shop -f table', 'print the states of a run'],
    ]);
  },

  async run(context) {
    const { out, flags } = context;
    const [target] = context.args as [string];
    if (!isModule(target)) {
      return withApp(context, async ({ app }) => {
        checkStoreIsShared(app);
        return printGraph(out, flags, await app.result(target).graph());
      });
    }
    return withApp(
      context,
      async ({ modules: [module] }) => {
        if (module === undefined) throw new Error('Bug in Umbel: the module of `graph` was not loaded');
        return printGraph(out, flags, signatureOf(module).graph());
      },
      { modules: [target] },
    );
  },
});

/** Returns whether the target is a module: ids of runs have no folder, export or file extension. */
export function isModule(target: string): boolean {
  return /[/\\#]/.test(target) || /\.[cm]?[jt]sx?$/.test(target);
}

export async function printGraph(
  out: Output,
  { format, json }: GraphFormat & OutputFlags,
  graph: RunGraph,
): Promise<typeof EXIT.ok> {
  if (json || format === 'json') out.document('graph', graph.toJSON());
  else if (format === 'table')
    out.data(await table(out, ['TASK', 'STATE', 'JOBS', 'TIME', 'QUEUE', 'ERROR'], rowsOf(graph)));
  else out.data(clean(format === 'dot' ? graph.toDot() : graph.toMermaid()).trimEnd());
  return EXIT.ok;
}

function rowsOf({ nodes }: RunGraph): string[][] {
  return nodes.map(({ label, state, count = 1, counts, durationMs, queue, error = '' }) => [
    cleanLine(label),
    counts === undefined
      ? cleanLine(state)
      : Object.entries(counts)
          .map(([each, number]) => `${number} ${cleanLine(each)}`)
          .join(', '),
    `${count}`,
    durationMs === undefined ? '' : shortDuration(durationMs),
    cleanLine(queue),
    cleanLine(error),
  ]);
}
