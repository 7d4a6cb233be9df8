/** Lists that come in pages. */
import type { Answers, App, AskOptions, Duration, Page } from '@umbel/core';
import { type Command, InvalidArgumentError } from 'commander';
import { momentOf, pastMoment } from './display.js';
import { CliError, EXIT, type ExitCode } from './errors.js';
import { duration, integer, list, ownFlag } from './flags.js';
import { cleanLine, type Output } from './output.js';

export interface PageFlags {
  readonly limit: number;
  readonly cursor?: string;
}

export interface TimeFlags {
  readonly since?: Date;
  readonly until?: Date;
}

export interface FilterFlags extends TimeFlags {
  readonly state?: readonly string[];
  readonly tag?: string;
}

export function pageFlags(command: Command, usual = 50): void {
  command
    .addOption(ownFlag('--limit <n>', 'at most so many').argParser(integer(1, 1000)).default(usual))
    .addOption(ownFlag('--cursor <text>', 'go on after an earlier list'));
}

export function timeFlags(command: Command): void {
  command
    .addOption(
      ownFlag('--since <moment>', 'ended, or sent, then or later; also a time before now, as 2h').argParser(
        pastMoment,
      ),
    )
    .addOption(ownFlag('--until <moment>', 'before that').argParser(pastMoment));
}

export function filterFlags(command: Command): void {
  command
    .addOption(ownFlag('--state <state>', 'in this state; repeatable').argParser(stateList))
    .addOption(ownFlag('--tag <text>', 'sent with this tag'));
  timeFlags(command);
}

const STATES = [
  'waiting',
  'delayed',
  'waiting-children',
  'active',
  'completed',
  'failed',
  'expired',
  'revoked',
  'skipped',
];

function stateList(text: string, before: readonly string[] = []): readonly string[] {
  if (STATES.includes(text)) return list(text, before);
  throw new InvalidArgumentError(`Expected one of ${STATES.join(', ')}.`);
}

/** Those of the flags that were given, under the names that a query has for them; moments by the clock of the app. */
export function given<Flags extends object, const Key extends keyof Flags & string>(
  flags: Flags,
  keys: readonly Key[],
): { [K in Key]?: Exclude<Flags[K], undefined> } {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = flags[key];
      return value === undefined ? [] : [[key, value instanceof Date ? momentOf(value) : value]];
    }),
  ) as {
    [K in Key]?: Exclude<Flags[K], undefined>;
  }; // of these keys, without those that are undefined
}

/** Up to `limit` items: a page may hold fewer, or none, where more follows. */
export async function upTo<Item>(
  limit: number,
  first: string | undefined,
  next: (query: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): Promise<Page<Item>> {
  const items: Item[] = [];
  let cursor = first;
  do {
    const page = await next({ limit: limit - items.length, ...(cursor !== undefined && { cursor }) });
    items.push(...page.items);
    cursor = page.cursor;
  } while (cursor !== undefined && items.length < limit);
  return { items, ...(cursor !== undefined && { cursor }) };
}

/** Where a list goes on, on stderr: it is no item. */
export function tellMore(out: Output, cursor: string | undefined): void {
  if (cursor !== undefined) out.note(out.noteColors.dim(`There are more: --cursor ${cursor}`));
}

// Asks before something is done that cannot be undone.

export interface ConfirmFlags {
  readonly yes?: boolean;
}

export function confirmFlag(command: Command): void {
  command.addOption(ownFlag('-y, --yes', 'do not ask; needed where there is no terminal'));
}

/** @param what As a question: `Remove 3 jobs?` @throws {CliError} unless the answer is yes. */
export async function confirmed({ yes }: ConfirmFlags, what: string): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY || process.env.CI)
    throw new CliError({
      exitCode: EXIT.usage,
      what,
      why: 'There is no terminal to ask at. Nothing was changed.',
      hint: 'If that is meant: --yes',
    });
  const { confirm } = await import('@clack/prompts');
  const answer = await confirm({ message: what, initialValue: false, output: process.stderr });
  if (answer !== true) throw new CliError({ exitCode: EXIT.interrupted, what: 'Nothing was changed.' });
}

// What came of asking workers: who has not answered, and what that is as an exit code.

export interface AskFlags {
  readonly worker?: readonly string[];
  readonly timeout?: string;
}

export function askFlags(command: Command): void {
  command
    .addOption(
      ownFlag(
        '-w, --worker <name>',
        'only this worker, or process by its id; repeatable (default: all)',
      ).argParser(list),
    )
    .addOption(
      ownFlag('--timeout <time>', 'how long answers are waited for (default: 1s)').argParser(duration),
    );
}

export function askOptions({ worker, timeout }: AskFlags): AskOptions {
  return {
    ...(worker !== undefined && { workers: worker }),
    ...(timeout !== undefined && { timeout: timeout as Duration }),
  };
}

/**
 * Tells on stderr which workers could not do it, or have not answered. Gives 1 if one could not, 75 if one has not answered
 * that should have. Those that are known to be gone need not, unless they are named.
 * @throws {CliError} if no worker has answered at all, or one that is named is not known.
 */
export async function judgeAnswers(
  app: App,
  out: Output,
  { answers, errors, missing }: Answers<unknown>,
  { worker: wanted = [], timeout = '1s' }: AskFlags,
): Promise<ExitCode> {
  const workers = missing.length === 0 ? [] : await app.inspect.workers();
  const isKnown = (name: string) =>
    workers.some((worker) => worker.name === name || worker.processes.some(({ id }) => id === name));
  const unknown = missing.filter((name) => wanted.includes(name) && !isKnown(name));
  for (const [name, reason] of Object.entries(errors)) out.note(cleanLine(`${name}: ${reason}`));
  const { yellow } = out.noteColors;
  const gone = new Set(workers.filter(({ state }) => state === 'missing').map(({ name }) => name));
  const isGone = (label: string) => gone.has(label) || gone.has(label.replace(/#[^#]*$/, ''));
  for (const name of missing) {
    if (unknown.includes(name)) continue;
    const why = isGone(name)
      ? 'is gone: it was not closed, and gives no sign of life'
      : `has not answered within ${timeout}`;
    out.note(yellow(cleanLine(`${name} ${why}`)));
  }
  if (unknown.length > 0)
    throw new CliError({
      exitCode: EXIT.notFound,
      what: `There is no worker ${unknown.join(', ')}.`,
      hint: 'umbel inspect workers shows those that there are.',
    });
  if (Object.keys(errors).length > 0) return EXIT.failed;
  const silent = missing.filter((name) => wanted.includes(name) || !isGone(name));
  if (silent.length > 0) return EXIT.timedOut;
  if (Object.keys(answers).length > 0) return EXIT.ok;
  throw new CliError({
    exitCode: EXIT.timedOut,
    what: 'No worker has answered.',
    why: `No worker of app "${app.name}" runs in this store.`,
    hint: 'Start one with umbel worker. Is it this app, this store? See --name and --connection.',
  });
}

/** As a document: what each worker has answered, and which did not. */
export function answersDocument({ answers, errors, missing }: Answers<unknown>): object {
  return { workers: answers, errors, missing };
}

/** Lets what goes on for ever end by Ctrl-C or SIGTERM, as it is meant to. */

export interface Ending {
  readonly signal: AbortSignal;
  /** Ends it from here. */
  readonly end: () => void;
  /** Listens for signals no more. */
  readonly release: () => void;
}

export function untilSignal(): Ending {
  const controller = new AbortController();
  const end = () => controller.abort();
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  return {
    signal: controller.signal,
    end,
    release: () => {
      process.off('SIGINT', end);
      process.off('SIGTERM', end);
    },
  };
}
