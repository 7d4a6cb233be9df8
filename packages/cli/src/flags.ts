/** Flags that several commands share, and how a flag is found in the environment. */
import { type Command, Option } from 'commander';
import { list } from './args.js';

export interface OutputFlags {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

export interface AppFlags {
  /** A module, or `module#export`. */
  readonly app?: string;
  readonly connection?: string;
}

export interface NamedAppFlags extends AppFlags {
  /** The app's name, where its code is not needed. */
  readonly name?: string;
  readonly prefix?: string;
  /** With a name: queues that are not `default`, which the code would tell. */
  readonly queue?: string | readonly string[];
}

/** A flag that the environment can give: `--max-jobs` as `UMBEL_MAX_JOBS`. */
export function flag(names: string, description: string): Option {
  const option = new Option(names, description);
  const long = (option.long ?? '').replace(/^--(no-)?/, '');
  return option.env(`UMBEL_${long.replaceAll('-', '_').toUpperCase()}`);
}

/** A flag of one call, which the environment does not give. */
export function ownFlag(names: string, description: string): Option {
  return new Option(names, description);
}

export function outputFlags(command: Command): void {
  command
    .addOption(ownFlag('--json', 'documents of JSON on stdout instead of text').helpGroup('Output:'))
    .addOption(ownFlag('-v, --verbose', 'errors with their stack').helpGroup('Output:'));
}

const APP_HELP = 'module of the app, as ./tasks.ts or ./tasks.ts#app';

export function connectionFlag(command: Command): void {
  const option = new Option('-b, --connection <url>', 'store of apps that name none in their code');
  command.addOption(option.env('UMBEL_URL').helpGroup('App:'));
}

/** For commands that need the app's code. */
export function appFlags(command: Command): void {
  command.addOption(flag('-A, --app <module>', APP_HELP).helpGroup('App:'));
  connectionFlag(command);
}

/** For commands that can do without. */
export function namedAppFlags(command: Command): void {
  appFlags(command);
  command
    .addOption(flag('--name <app>', 'name of the app, instead of its code').helpGroup('App:'))
    .addOption(flag('--prefix <text>', 'prefix of its keys, with --name').helpGroup('App:'));
  if (command.options.some(({ long }) => long === '--queue')) return;
  command.addOption(
    ownFlag('--queue <name>', 'a queue to look in, with --name; repeatable')
      .argParser(list)
      .helpGroup('App:'),
  );
}

/** Examples under the help: what is typed, and what it does. */
export function examples(command: Command, lines: readonly (readonly [line: string, does: string])[]): void {
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, does]) => `  ${line.padEnd(width)}  # ${does}`).join('\n');
  command.addHelpText('after', `\nExamples:\n${text}`);
}
