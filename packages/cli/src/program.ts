/** Finds the command that the arguments name, loads only that command, and turns its outcome into an exit code. */
import { Command, CommanderError } from 'commander';
import type { CommandModule } from './command.js';
import { COMMANDS } from './commands/index.js';
import { CliError, EXIT, problemOf } from './errors.js';
import { Output } from './output.js';
import { ownVersion } from './start.js';

/** Runs the command that the arguments name and returns the exit code. Never rejects. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  const out = new Output({ isJson: argv.includes('--json') });
  const isVerbose = argv.some((argument) => argument === '--verbose' || /^-[a-z]*v/.test(argument));
  try {
    return await dispatch(argv);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok; // help or version
    const problem = problemOf(error, isVerbose);
    const origin = error instanceof CliError && error.cause !== undefined ? error.cause : error;
    out.problem(problem, isVerbose && origin instanceof Error ? origin.stack : undefined);
    return problem.exitCode;
  }
}

async function dispatch(args: readonly string[]): Promise<number> {
  const argv = args[0] === 'help' ? [...args.slice(1), '--help'] : args;
  const [name = '--help'] = argv;
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  let code: number = EXIT.ok;
  const program = newProgram();
  for (const [each, { summary, group }] of Object.entries(COMMANDS)) {
    if (each === name && entry !== undefined) {
      const { default: module } = await entry.load();
      program.addCommand(
        commandOf(name, module, async (called, command) => {
          const { applyConfig } = await import('./config.js');
          await applyConfig(command);
          const flags = command.opts<Record<string, unknown>>();
          const out = new Output({ isJson: flags.json === true });
          code = await called.run({ args: command.processedArgs, flags, out, command });
        }),
      );
    } else program.addCommand(configured(new Command(each)).summary(summary).helpGroup(group));
  }
  await program.parseAsync(argv.length === 0 ? ['--help'] : [...argv], { from: 'user' });
  return code;
}

/** Returns the help of the program and of each command, as on a terminal of `width` columns without colours. */
export async function helpPages(width = 100): Promise<ReadonlyMap<string, string>> {
  const pages = new Map<string, string>();
  const program = newProgram();
  for (const [name, { summary, group, load }] of Object.entries(COMMANDS)) {
    const { default: module } = await load();
    program.addCommand(
      commandOf(name, module, async () => {})
        .summary(summary)
        .helpGroup(group),
    );
  }
  const verbs = program.commands.flatMap((command) => command.commands);
  for (const command of [program, ...program.commands, ...verbs]) {
    const isVerb = verbs.includes(command);
    const name =
      command === program ? 'umbel' : isVerb ? `${command.parent?.name()}/${command.name()}` : command.name();
    let page = '';
    command.configureOutput({
      writeOut: (text) => {
        page += text;
      },
      getOutHelpWidth: () => width,
      getOutHasColors: () => false,
    });
    command.outputHelp();
    pages.set(name, (isVerb ? withoutCommonFlags(page) : page).trimEnd());
  }
  return pages;
}

/** Removes the groups App and Output, which are the same for every command of a group. */
function withoutCommonFlags(page: string): string {
  return page.replace(/\n(?:App|Output):\n(?: {2}.*\n)+/g, '');
}

/** Returns every command with its arguments and flags, for completion. */
export async function definedCommands(): Promise<readonly Command[]> {
  const defined: Command[] = [];
  for (const [name, { load, summary }] of Object.entries(COMMANDS)) {
    const { default: module } = await load();
    defined.push(commandOf(name, module, async () => {}).summary(summary));
  }
  return defined;
}

function newProgram(): Command {
  const program = configured(new Command('umbel'))
    .usage('<command> [options]')
    .description('Run workers, send jobs and workflows, inspect and control Umbel apps.')
    .version(ownVersion(), '--version', 'Print the version')
    .helpOption('-h, --help', 'Print help for the program or a command')
    .helpCommand(false)
    .addHelpText(
      'after',
      `
Precedence: flags, then environment (UMBEL_…), then umbel.config.{ts,mts,js,mjs,json}, then defaults.
Data goes to stdout, everything else to stderr. Exit codes: 0 success · 1 a task failed · 2 usage ·
3 not found · 4 app cannot be loaded · 69 store does not answer · 75 timed out · 130, 143 interrupted.

Examples:
  umbel init                                     # add a first task, a worker and a test
  umbel worker ./tasks.ts                        # serve the queues of all tasks
  umbel call email.send --input @mail.json --wait  # send a job, print its result
`.trimEnd(),
    );
  return program;
}

function commandOf(
  name: string,
  module: CommandModule,
  action: (called: CommandModule, command: Command) => Promise<void>,
): Command {
  const command = configured(new Command(name)).helpOption('-h, --help', 'Print help');
  module.define(command);
  dropEmptyVariables(command);
  for (const [verb, verbModule] of Object.entries(module.verbs ?? {}))
    command.addCommand(commandOf(verb, verbModule, action));
  return command.action(() => action(module, command));
}

const OFF = new Set(['', '0', 'false', 'no', 'off']);

/** Commander reads any value of a variable, even an empty one, as the value of the flag, and as `true` for a boolean flag. */
function dropEmptyVariables({ options }: Command): void {
  for (const option of options) {
    const value = option.envVar === undefined ? undefined : process.env[option.envVar];
    if (option.envVar === undefined || value === undefined) continue;
    if (value === '' || (option.isBoolean() && OFF.has(value.toLowerCase())))
      delete process.env[option.envVar];
  }
}

/** Silences Commander's own error output: `runProgram` prints errors. */
function configured(command: Command): Command {
  return command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false });
}
