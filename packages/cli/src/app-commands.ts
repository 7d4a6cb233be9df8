/** Loads the app for a command and closes it afterwards; checks that its store and its name are usable. */
import { Console } from 'node:console';
import type { App, FoundApps, Logger, QueueInfo, WorkerInfo } from '@umbel/core';
import type { coreOf } from '@umbel/core/internal';
import type { Command } from 'commander';
import { type LoadedApp, loadApp, loadOrNameApp } from './app-loader.js';
import type { CommandContext } from './command.js';
import { setClock } from './display.js';
import { CliError, EXIT, type ExitCode } from './errors.js';
import { type NamedAppFlags, namedAppFlags, type OutputFlags, outputFlags } from './flags.js';
import { importPackage } from './modules.js';
import { cleanLine, type Output } from './output.js';

/** Runs `use` with the app that the flags name, and always closes the app. */
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

/** Redirects the console to stderr, so that modules of the user cannot write to stdout. */
function keepStdoutForData(): void {
  globalThis.console = new Console({ stdout: process.stderr, stderr: process.stderr });
}

/** Returns a logger for warnings. Info and errors are only for `--verbose`: connection errors end the command as its problem. */
function quietLogger(out: Output, isVerbose: boolean): Logger {
  const note = (message: string) => out.note(cleanLine(message));
  const verbose = isVerbose ? note : () => {};
  return { info: verbose, warn: note, error: verbose };
}

/** Returns the command that prints the result of a job, with the flags of this command. */
export function resultCommand(
  id: string,
  { app, name, queue = [] }: NamedAppFlags,
  isNamed: boolean,
): string {
  const queues = [queue].flat().map((each) => ` --queue ${each}`);
  const appFlag = isNamed ? ` --name ${name}${queues.join('')}` : app === undefined ? '' : ` --app ${app}`;
  return `umbel result ${id} --wait${appFlag}`;
}

/** @throws {CliError} if the store is in this process, so that its jobs would be lost with it. */
export function checkStoreIsShared(app: App): void {
  const { kind, isInMemory } = app.describe().store;
  if (!isInMemory && kind !== 'other') return;
  throw new CliError({
    exitCode: EXIT.usage,
    what: `App "${app.name}" uses a store in this process.`,
    why: 'No other process can read it, so workers would not find its jobs.',
    hint: 'Set a store with --connection redis://… or UMBEL_URL, or try tasks in umbel dev.',
  });
}

// Apps for operator commands: even without the code, with every queue that workers serve.

export type OperatorFlags = NamedAppFlags & OutputFlags;

/** Adds the flags of app and output, after the flags of the command. */
export function operatorFlags(command: Command): void {
  namedAppFlags(command);
  outputFlags(command);
}

/** Valid names of queues; the store may contain other text. */
const QUEUE = /^[A-Za-z0-9_.-]{1,100}$/;
/** The queue of internal jobs. */
const INTERNAL_QUEUE = 'umbel';

/** Runs `use` with the app that the flags name, and always closes it. @throws {CliError} if its store is in this process. */
export function withSharedApp(
  context: CommandContext<OperatorFlags>,
  use: (app: App, isNamed: boolean) => Promise<ExitCode>,
): Promise<ExitCode> {
  return withAnyApp(context, (app, isNamed) => {
    checkStoreIsShared(app);
    return use(app, isNamed);
  });
}

/** Runs `use` like `withSharedApp`, but also accepts a store in this process. */
export function withAnyApp(
  context: CommandContext<OperatorFlags>,
  use: (app: App, isNamed: boolean) => Promise<ExitCode>,
): Promise<ExitCode> {
  return withApp(context, async ({ app, isNamed, folder }) => {
    // Read everything at once on one connection, to save round trips to a remote store.
    const [, queues] = await Promise.all([useStoreClock(app), isNamed ? servedQueues(app) : []]);
    const core = app as unknown as EarlierCore;
    if (!isNamed || core.learnQueues !== undefined) {
      core.learnQueues?.(queues);
      return use(app, isNamed);
    }
    const { createApp } = await importPackage('@umbel/core', folder);
    const { prefix, queue = [] } = context.flags;
    const allQueues = [...new Set([...[queue].flat(), ...queues])];
    const fullApp = createApp({ name: app.name, queues: allQueues, ...(prefix !== undefined && { prefix }) });
    try {
      return await use(fullApp, true);
    } finally {
      await fullApp.close();
    }
  });
}

/** Every app is its core at run time; an app of an earlier version lacks these members. */
type EarlierCore = Partial<Pick<ReturnType<typeof coreOf>, 'learnQueues' | 'measured'>>;

/** Uses the clock of the store, because the clock of this machine may be wrong. */
async function useStoreClock(app: App): Promise<void> {
  const { measured } = app as unknown as EarlierCore;
  if (measured === undefined) return;
  await measured.store.timeKnown?.();
  setClock(() => measured.clock.now());
}

/** Returns the queues that the store has for the app; apps with a custom prefix are not found. */
async function foundQueues(app: App): Promise<readonly string[]> {
  // An app of an earlier version has no such method.
  const { apps } = (await (app.inspect as Partial<App['inspect']>).apps?.()) ?? { apps: [] };
  return apps.find(({ name }) => name === app.name)?.queues ?? [];
}

/** Returns the queues of all workers, including missing ones, and those in the store: they may contain jobs. */
async function servedQueues(app: App): Promise<string[]> {
  const [workers, found] = await Promise.all([app.inspect.workers(), foundQueues(app)]);
  const served = workers.flatMap(({ processes }) => processes.flatMap(({ queues }) => Object.keys(queues)));
  return [...new Set([...served, ...found])].filter((name) => QUEUE.test(name) && name !== INTERNAL_QUEUE);
}

// Checks that the store has data of an app with this name.

const MAX_APPS = 20;

/**
 * Returns why the name of the app is probably wrong: the store has no data of it. Returns undefined if it has data, or if the
 * store is too large to be sure.
 */
export async function unknownAppReason(
  app: App,
  workers: readonly WorkerInfo[],
  queues: readonly QueueInfo[],
): Promise<{ readonly what: string; readonly why: string } | undefined> {
  const isUsed = queues.some(({ counts }) => Object.values(counts).some((count) => count > 0));
  if (workers.length > 0 || isUsed) return undefined;
  const found = await app.inspect.apps();
  if (!found.isComplete || found.apps.some(({ name }) => name === app.name)) return undefined;
  return { what: `The store has no data of app "${app.name}".`, why: listOf(found) };
}

/** @throws {CliError} if the store has no data of the app. */
export async function checkAppExists(
  app: App,
  workers: readonly WorkerInfo[],
  queues: readonly QueueInfo[],
): Promise<void> {
  const unknown = await unknownAppReason(app, workers, queues);
  if (unknown === undefined) return;
  throw new CliError({
    exitCode: EXIT.notFound,
    ...unknown,
    hint: 'Check --name, --prefix and --connection.',
  });
}

function listOf({ apps }: FoundApps): string {
  if (apps.length === 0) return 'The store has no apps.';
  const shown = apps.slice(0, MAX_APPS).map(({ name }) => name);
  const more = apps.length > MAX_APPS ? `, and ${apps.length - MAX_APPS} more` : '';
  return `Apps in this store: ${shown.join(', ')}${more}.`;
}
