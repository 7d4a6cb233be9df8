import { Option } from 'commander';
import { defineCommand } from '../command.js';
import { type GraphFormat, printGraph } from '../commands/graph.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';

export const graph = defineCommand<OperatorFlags & GraphFormat>({
  define(command) {
    command
      .summary('the graph of one, for Mermaid or Graphviz')
      .description(
        'Prints the graph of a run with the states of its tasks as they are now, as umbel graph does.',
      )
      .argument('<id>', 'id of a run')
      .addOption(
        new Option('-f, --format <format>', 'what to print')
          .choices(['mermaid', 'dot', 'json', 'table'])
          .default('mermaid'),
      );
    operatorFlags(command);
    examples(command, [
      ['umbel runs graph 3f2a91c0-… -f dot --name shop | dot -Tsvg > run.svg', 'a picture'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const [id] = context.args as [string];
      return printGraph(context.out, context.flags, await app.result(id).graph());
    }),
});
