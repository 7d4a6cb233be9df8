/** A command that is made of others: `umbel inspect workers`. */
import type { CommandModule } from './command.js';
import { CliError } from './errors/cli-error.js';
import { EXIT } from './errors/exit-codes.js';
import { examples } from './flags.js';
import { closest } from './output/closest.js';

export interface GroupParts {
  readonly description: string;
  readonly verbs: Readonly<Record<string, CommandModule>>;
  /** What is typed, and what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
}

export function defineGroup({ description, verbs, examples: lines }: GroupParts): CommandModule {
  return {
    verbs,
    define(command) {
      command.description(description).usage('<command> [options]').allowExcessArguments().helpCommand(false);
      examples(command, lines);
    },
    async run({ command }) {
      const [verb] = command.args;
      const names = Object.keys(verbs);
      throw new CliError({
        exitCode: EXIT.usage,
        what:
          verb === undefined
            ? `umbel ${command.name()} needs a command.`
            : `umbel ${command.name()} has no "${verb}".`,
        why: verb === undefined ? `It has ${names.join(', ')}.` : closest(verb, names),
        hint: `See umbel ${command.name()} --help.`,
      });
    },
  };
}
