/** Defines commands and groups of commands. A file of `commands/` exports one; `commands/index.ts` lists it. */
import type { Command } from 'commander';
import { CliError, EXIT, type ExitCode } from './errors.js';
import { examples } from './flags.js';
import { closest, type Output } from './output.js';

export interface CommandContext<Flags> {
  /** Positional arguments; a variadic argument is a list. */
  readonly args: readonly (string | readonly string[] | undefined)[];
  readonly flags: Flags;
  readonly out: Output;
  /** Commander's command, for the sources of flag values. */
  readonly command: Command;
}

export interface CommandModule {
  /** Declares arguments, flags and examples. */
  define(command: Command): void;
  run(context: CommandContext<unknown>): Promise<ExitCode>;
  /** Subcommands by name. */
  readonly verbs?: Readonly<Record<string, CommandModule>>;
}

/** Returns a command whose flags have this type; `define` must declare exactly these flags. */
export function defineCommand<Flags>(definition: {
  define(command: Command): void;
  run(context: CommandContext<Flags>): Promise<ExitCode>;
}): CommandModule {
  return {
    define: definition.define,
    run: (context) => definition.run(context as CommandContext<Flags>), // `define` declared these flags
  };
}

// Groups: commands with subcommands, such as `umbel inspect workers`.

interface GroupOptions {
  readonly description: string;
  readonly verbs: Readonly<Record<string, CommandModule>>;
  /** Command lines and their explanations. */
  readonly examples: readonly (readonly [line: string, explanation: string])[];
}

export function defineGroup({ description, verbs, examples: lines }: GroupOptions): CommandModule {
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
            ? `umbel ${command.name()} needs a subcommand.`
            : `umbel ${command.name()} has no subcommand "${verb}".`,
        why: verb === undefined ? `Expected one of: ${names.join(', ')}.` : closest(verb, names),
        hint: `Run umbel ${command.name()} --help.`,
      });
    },
  };
}
