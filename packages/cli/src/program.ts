/** The program: finds the command, loads it and no other, and turns what comes of it into an exit code. */
import { Command, CommanderError } from 'commander';
import type { CommandModule } from './command.js';
import { COMMANDS } from './commands/index.js';
import { CliError, EXIT, problemOf } from './errors.js';
import { Output } from './output.js';
import { ownVersion } from './start.js';

/** Runs the command that the arguments name. Never rejects. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  const out = new Output({ isJson: argv.includes('--json') });
  const isVerbose = argv.some((argument) => argument === '--verbose' || /^-[a-z]*v/.test(argument));
  try {
    return await dispatched(argv);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok; // help, or the version
    const problem = problemOf(error, isVerbose);
    const origin = error instanceof CliError && error.cause !== undefined ? error.cause : error;
    out.problem(problem, isVerbose && origin instanceof Error ? origin.stack : undefined);
    return problem.exitCode;
  }
}

async function dispatched(given: readonly string[]): Promise<number> {
  const argv = given[0] === 'help' ? [...given.slice(1), '--help'] : given;
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

/** The help of the program, and of each command, as on a wide terminal without colours. */
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

/** The flags of output and app are the same for every command of a group. */
function withoutCommonFlags(page: string): string {
  return page.replace(/\n(?:App|Output):\n(?: {2}.*\n)+/g, '');
}

/** Every command with its arguments and flags, for completion. */
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
    .description('Umbel on the command line: workers, calls, results, graphs.')
    .version(ownVersion(), '--version', 'the version of this program')
    .helpOption('-h, --help', 'this help, or that of a command')
    .helpCommand(false)
    .addHelpText(
      'after',
      `
A flag wins over the environment (UMBEL_…), that over umbel.config.{ts,js,json}, that over the default.
Data goes to stdout, all else to stderr. Exit codes: 0 ok · 1 a task failed · 2 usage · 3 not found ·
4 the app cannot be loaded · 69 the store does not answer · 75 timed out · 130, 143 interrupted.

Examples:
  umbel init                                     # a first task, a worker and a test
  umbel worker ./tasks.ts                        # serve the queues of all its tasks
  umbel call email.send --input @mail.json --wait  # send a call, print its result
`.trimEnd(),
    );
  return program;
}

function commandOf(
  name: string,
  module: CommandModule,
  action: (called: CommandModule, command: Command) => Promise<void>,
): Command {
  const command = configured(new Command(name));
  module.define(command);
  dropEmptyVariables(command);
  for (const [verb, below] of Object.entries(module.verbs ?? {}))
    command.addCommand(commandOf(verb, below, action));
  return command.action(() => action(module, command));
}

const OFF = new Set(['', '0', 'false', 'no', 'off']);

/** Commander takes any value of a variable, also an empty one, for that of the flag, and for `true` of a switch. */
function dropEmptyVariables({ options }: Command): void {
  for (const option of options) {
    const value = option.envVar === undefined ? undefined : process.env[option.envVar];
    if (option.envVar === undefined || value === undefined) continue;
    if (value === '' || (option.isBoolean() && OFF.has(value.toLowerCase())))
      delete process.env[option.envVar];
  }
}

/** Errors are told by us, in our words. */
function configured(command: Command): Command {
  return command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false });
}
