/** What can be typed, as plain data. */
import type { Command, Option } from 'commander';

export interface CompletionFlag {
  /** `-q`, `--queues` */
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  /** The values that it can have, if there is a list of them. */
  readonly values: readonly string[];
}

export interface CompletionCommand {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly CompletionFlag[];
  /** Values of its first argument; without any, files are completed. */
  readonly values: readonly string[];
}

export function completionTree(commands: readonly Command[]): CompletionCommand[] {
  return commands.map((command) => ({
    name: command.name(),
    description: command.summary(),
    flags: [
      ...optionsOf(command)
        .filter(({ hidden }) => !hidden)
        .map(flagOf),
      HELP,
    ],
    values:
      command.commands.length > 0
        ? command.commands.map((verb) => verb.name())
        : (command.registeredArguments[0]?.argChoices ?? []),
  }));
}

const HELP: CompletionFlag = {
  names: ['-h', '--help'],
  description: 'display help for command',
  takesValue: false,
  values: [],
};

/** Its own, and those of the commands below it, each once. */
function optionsOf(command: Command): Option[] {
  const all = [command, ...command.commands].flatMap(({ options }) => options);
  return [...new Map(all.map((option) => [option.attributeName(), option])).values()];
}

function flagOf({ short, long, description, argChoices, required, optional }: Option): CompletionFlag {
  return {
    names: [short, long].filter((name) => name !== undefined),
    description,
    takesValue: required || optional,
    values: argChoices ?? [],
  };
}
