/** What commands that work with an app have in common: it is loaded before, and closed after. */
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

// The app that a command of operators is about: also without its code, with every queue that its workers serve.

export type OperatorFlags = NamedAppFlags & OutputFlags;

/** After the command's own flags. */
export function operatorFlags(command: Command): void {
  namedAppFlags(command);
  outputFlags(command);
}

/** Queues have such names; what is stored may hold others. */
const QUEUE = /^[A-Za-z0-9_.-]{1,100}$/;
/** Umbel's own. */
const INTERNAL_QUEUE = 'umbel';

/** Runs `use` with the app that the flags name; closes it whatever happens. */
export function withOperated(
  context: CommandContext<OperatorFlags>,
  use: (app: App, isNamed: boolean) => Promise<ExitCode>,
): Promise<ExitCode> {
  return withSeen(context, (app, isNamed) => {
    checkShared(app);
    return use(app, isNamed);
  });
}

/** The same, also of an app whose store is in this process. */
export function withSeen(
  context: CommandContext<OperatorFlags>,
  use: (app: App, isNamed: boolean) => Promise<ExitCode>,
): Promise<ExitCode> {
  return withApp(context, async ({ app, isNamed, folder }) => {
    // One look at the store, on one connection: each round trip of a far one counts.
    const [, queues] = await Promise.all([goByTimeOf(app), isNamed ? servedQueues(app) : []]);
    const core = app as unknown as EarlierCore;
    if (!isNamed || core.learnQueues !== undefined) {
      core.learnQueues?.(queues);
      return use(app, isNamed);
    }
    const { createApp } = await importPackage('@umbel/core', folder);
    const { prefix, queue = [] } = context.flags;
    const all = [...new Set([...[queue].flat(), ...queues])];
    const whole = createApp({ name: app.name, queues: all, ...(prefix !== undefined && { prefix }) });
    try {
      return await use(whole, true);
    } finally {
      await whole.close();
    }
  });
}

/** Every app is its core at run time; one of an earlier version tells no time, and learns no queues. */
type EarlierCore = Partial<Pick<ReturnType<typeof coreOf>, 'learnQueues' | 'measured'>>;

/** Moments are those of the store, and this machine's clock may be wrong. */
async function goByTimeOf(app: App): Promise<void> {
  const { measured } = app as unknown as EarlierCore;
  if (measured === undefined) return;
  await measured.store.timeKnown?.();
  setClock(() => measured.clock.now());
}

/** Without those of an app with a prefix of its own. */
async function foundQueues(app: App): Promise<readonly string[]> {
  // An app of an earlier version has no such method.
  const { apps } = (await (app.inspect as Partial<App['inspect']>).apps?.()) ?? { apps: [] };
  return apps.find(({ name }) => name === app.name)?.queues ?? [];
}

/** Those of workers that are gone too, and those that the store is seen to hold: jobs may be left in them. */
async function servedQueues(app: App): Promise<string[]> {
  const [workers, found] = await Promise.all([app.inspect.workers(), foundQueues(app)]);
  const served = workers.flatMap(({ processes }) => processes.flatMap(({ queues }) => Object.keys(queues)));
  return [...new Set([...served, ...found])].filter((name) => QUEUE.test(name) && name !== INTERNAL_QUEUE);
}

// Whether the store knows an app by this name, and which ones it knows.

const MOST = 20;

/**
 * Why an app of this name is probably not meant: nothing of it is in the store. Undefined if something is, or the store
 * is too large to be sure.
 */
export async function whyUnknown(
  app: App,
  workers: readonly WorkerInfo[],
  queues: readonly QueueInfo[],
): Promise<{ readonly what: string; readonly why: string } | undefined> {
  const isUsed = queues.some(({ counts }) => Object.values(counts).some((count) => count > 0));
  if (workers.length > 0 || isUsed) return undefined;
  const found = await app.inspect.apps();
  if (!found.isComplete || found.apps.some(({ name }) => name === app.name)) return undefined;
  return { what: `The store holds nothing of an app "${app.name}".`, why: listOf(found) };
}

/** @throws {CliError} if nothing of the app is in the store. */
export async function checkKnown(
  app: App,
  workers: readonly WorkerInfo[],
  queues: readonly QueueInfo[],
): Promise<void> {
  const unknown = await whyUnknown(app, workers, queues);
  if (unknown === undefined) return;
  throw new CliError({
    exitCode: EXIT.notFound,
    ...unknown,
    hint: 'Is it this name, and this store? See --name, --prefix and --connection.',
  });
}

function listOf({ apps }: FoundApps): string {
  if (apps.length === 0) return 'It holds no app at all.';
  const shown = apps.slice(0, MOST).map(({ name }) => name);
  const more = apps.length > MOST ? `, and ${apps.length - MOST} more` : '';
  return `Apps in this store: ${shown.join(', ')}${more}.`;
}
