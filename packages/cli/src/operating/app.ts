/** The app that a command of operators is about: also without its code, with every queue that its workers serve. */
import type { App } from '@umbel/core';
import type { coreOf } from '@umbel/core/internal';
import type { Command } from 'commander';
import { checkShared, withApp } from '../app-commands.js';
import type { CommandContext } from '../command.js';
import type { ExitCode } from '../errors/exit-codes.js';
import { type NamedAppFlags, namedAppFlags, type OutputFlags, outputFlags } from '../flags.js';
import { importPackage } from '../modules.js';
import { setClock } from './times.js';

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
