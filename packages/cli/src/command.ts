/** What a command is: a file of `commands/` exports one, and `commands/index.ts` names it. */
import type { Command } from 'commander';
import type { ExitCode } from './errors/exit-codes.js';
import type { Output } from './output/output.js';

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
