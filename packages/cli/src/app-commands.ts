/** What commands that work with an app have in common: it is loaded before, and closed after. */
import { Console } from 'node:console';
import type { App, Logger } from '@umbel/core';
import { type LoadedApp, loadApp, loadOrNameApp } from './app-loader.js';
import type { CommandContext } from './command.js';
import { CliError } from './errors/cli-error.js';
import { EXIT, type ExitCode } from './errors/exit-codes.js';
import type { NamedAppFlags, OutputFlags } from './flags.js';
import type { Output } from './output/output.js';
import { cleanLine } from './output/text.js';

/** Runs `use` with the app that the flags name; closes it whatever happens. */
export async function withApp(
  { flags, out, command }: CommandContext<NamedAppFlags & OutputFlags>,
  use: (loaded: LoadedApp & { readonly isNamed: boolean }) => Promise<ExitCode>,
  { modules, needsCode = false }: { modules?: readonly string[]; needsCode?: boolean } = {},
): Promise<ExitCode> {
  keepStdoutForData();
  const isTyped = (name: string) => command.getOptionValueSource(name) === 'cli';
  const options = {
    logger: quietLogger(out, flags.verbose === true),
    isConnectionTyped: isTyped('connection'),
    isAppTyped: isTyped('app'),
    isNameTyped: isTyped('name'),
    ...(modules !== undefined && { modules }),
  };
  const loaded =
    needsCode || modules !== undefined
      ? { ...(await loadApp(flags, options)), isNamed: false }
      : await loadOrNameApp(flags, options);
  try {
    return await use(loaded);
  } finally {
    await loaded.app.close();
  }
}

/** What modules of the user print goes to stderr. */
function keepStdoutForData(): void {
  globalThis.console = new Console({ stdout: process.stderr, stderr: process.stderr });
}

/** Errors of the connection are in the end told as the problem of the command. */
function quietLogger(out: Output, isVerbose: boolean): Logger {
  const note = (message: string) => out.note(cleanLine(message));
  const verbose = isVerbose ? note : () => {};
  return { info: verbose, warn: note, error: verbose };
}

/** How to look at a job later, from where this command was typed. */
export function resultCommand(
  id: string,
  { app, name, queue = [] }: NamedAppFlags,
  isNamed: boolean,
): string {
  const queues = [queue].flat().map((each) => ` --queue ${each}`);
  const which = isNamed ? ` --name ${name}${queues.join('')}` : app === undefined ? '' : ` --app ${app}`;
  return `umbel result ${id} --wait${which}`;
}

/** @throws {CliError} if what is sent would be gone with this process. */
export function checkShared(app: App): void {
  if (app.describe().store.kind === 'redis') return;
  throw new CliError({
    exitCode: EXIT.usage,
    what: `The store of app "${app.name}" is in this process.`,
    why: 'No worker would find there what is sent, and nothing is there to be seen.',
    hint: 'Say where the real one is: --connection redis://… or UMBEL_URL. Or try tasks in umbel dev.',
  });
}
