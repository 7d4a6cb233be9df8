/** What a command is: a file of `commands/` exports one, and `commands/index.ts` names it. */
import type { Command } from 'commander';
import { CliError, EXIT, type ExitCode } from './errors.js';
import { examples } from './flags.js';
import { closest, type Output } from './output.js';

export interface CommandContext<Flags> {
  /** Positional arguments; those of a list are a list. */
  readonly args: readonly (string | readonly string[] | undefined)[];
  readonly flags: Flags;
  readonly out: Output;
  /** The definition, for usage errors. */
  readonly command: Command;
}

export interface CommandModule {
  /** Declares arguments, flags and examples. */
  define(command: Command): void;
  run(context: CommandContext<unknown>): Promise<ExitCode>;
  /** Commands below it, by their names. */
  readonly verbs?: Readonly<Record<string, CommandModule>>;
}

/** A command whose flags, as `define` declares them, are of this type. */
export function defineCommand<Flags>(parts: {
  define(command: Command): void;
  run(context: CommandContext<Flags>): Promise<ExitCode>;
}): CommandModule {
  return {
    define: parts.define,
    run: (context) => parts.run(context as CommandContext<Flags>), // what `define` has declared
  };
}

// A command that is made of others: `umbel inspect workers`.

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
