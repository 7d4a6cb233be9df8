/** Flags and helpers of commands for operators: filters, pages, confirmation, and answers of workers. */
import type { Answers, App, AskOptions, Duration, Page, StoredState } from '@umbel/core';
import { type Command, InvalidArgumentError } from 'commander';
import { momentOf, pastMoment } from './display.js';
import { CliError, EXIT, type ExitCode } from './errors.js';
import { duration, integer, list, plainFlag } from './flags.js';
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

export function pageFlags(command: Command, defaultLimit = 50): void {
  command
    .addOption(
      plainFlag('--limit <n>', 'Maximum number of rows').argParser(integer(1, 1000)).default(defaultLimit),
    )
    .addOption(plainFlag('--cursor <text>', 'Continue after this cursor'));
}

export function timeFlags(command: Command): void {
  command
    .addOption(
      plainFlag(
        '--since <moment>',
        'Sent or ended at or after this time, or this long ago, such as 2h',
      ).argParser(pastMoment),
    )
    .addOption(plainFlag('--until <moment>', 'Sent or ended before this time').argParser(pastMoment));
}

export function filterFlags(command: Command): void {
  command
    .addOption(plainFlag('--state <state>', 'In this state (repeatable)').argParser(stateList))
    .addOption(plainFlag('--tag <text>', 'With this tag'));
  timeFlags(command);
}

/** The keys are bound to the states of core by their type: the command line loads no code of core to read its flags. */
const STATES: readonly string[] = Object.keys({
  waiting: true,
  delayed: true,
  'waiting-children': true,
  active: true,
  completed: true,
  failed: true,
  expired: true,
  revoked: true,
  skipped: true,
} satisfies Record<StoredState, true>);

function stateList(text: string, before: readonly string[] = []): readonly string[] {
  if (STATES.includes(text)) return list(text, before);
  throw new InvalidArgumentError(`Expected one of ${STATES.join(', ')}.`);
}

/** Returns the flags of these names that have a value. Times before now are computed by the clock of the app. */
export function pickFlags<Flags extends object, const Key extends keyof Flags & string>(
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
  }; // only these keys, without undefined values
}

/** Collects up to `limit` items: a page may hold fewer items, or none, although more follow. */
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

/** Notes on stderr where the list continues. */
export function noteMore(out: Output, cursor: string | undefined): void {
  if (cursor !== undefined) out.note(out.noteColors.dim(`More rows: --cursor ${cursor}`));
}

// Confirmation before changes that cannot be undone.

export interface ConfirmFlags {
  readonly yes?: boolean;
}

export function confirmFlag(command: Command): void {
  command.addOption(plainFlag('-y, --yes', 'Skip the confirmation (required without a terminal)'));
}

/** Asks a question such as `Remove 3 jobs?`. @throws {CliError} unless the answer is yes. */
export async function requireConfirmation({ yes }: ConfirmFlags, question: string): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY || process.env.CI)
    throw new CliError({
      exitCode: EXIT.usage,
      what: question,
      why: 'There is no terminal to ask at. Nothing was changed.',
      hint: 'To confirm, pass --yes.',
    });
  const { confirm } = await import('@clack/prompts');
  const answer = await confirm({ message: question, initialValue: false, output: process.stderr });
  if (answer !== true) throw new CliError({ exitCode: EXIT.interrupted, what: 'Nothing was changed.' });
}

// Answers of workers, and the exit code for errors and missing answers.

export interface AskFlags {
  readonly worker?: readonly string[];
  readonly timeout?: string;
}

export function askFlags(command: Command): void {
  command
    .addOption(
      plainFlag('-w, --worker <name>', 'Worker name or process id (repeatable, default: all)').argParser(
        list,
      ),
    )
    .addOption(plainFlag('--timeout <time>', 'Maximum wait for answers (default: 1s)').argParser(duration));
}

export function askOptions({ worker, timeout }: AskFlags): AskOptions {
  return {
    ...(worker !== undefined && { workers: worker }),
    ...(timeout !== undefined && { timeout: timeout as Duration }),
  };
}

/**
 * Notes on stderr which workers failed or did not answer. Returns 1 if a worker failed, and 75 if an expected worker did not
 * answer. Workers known to be gone are expected only if the flags name them.
 * @throws {CliError} if no worker answered at all, or a named worker is unknown.
 */
export async function judgeAnswers(
  app: App,
  out: Output,
  { answers, errors, missing }: Answers<unknown>,
  { worker: requested = [], timeout = '1s' }: AskFlags,
): Promise<ExitCode> {
  const workers = missing.length === 0 ? [] : await app.inspect.workers();
  const isKnown = (name: string) =>
    workers.some((worker) => worker.name === name || worker.processes.some(({ id }) => id === name));
  const unknown = missing.filter((name) => requested.includes(name) && !isKnown(name));
  for (const [name, reason] of Object.entries(errors)) out.note(cleanLine(`${name}: ${reason}`));
  const { yellow } = out.noteColors;
  const gone = new Set(workers.filter(({ state }) => state === 'missing').map(({ name }) => name));
  const isGone = (label: string) => gone.has(label) || gone.has(label.replace(/#[^#]*$/, ''));
  for (const name of missing) {
    if (unknown.includes(name)) continue;
    const why = isGone(name)
      ? 'is gone: it was not closed, and does not answer'
      : `did not answer within ${timeout}`;
    out.note(yellow(cleanLine(`${name} ${why}`)));
  }
  if (unknown.length > 0)
    throw new CliError({
      exitCode: EXIT.notFound,
      what: `There is no worker "${unknown.join('", "')}".`,
      hint: 'List the workers with umbel inspect workers.',
    });
  if (Object.keys(errors).length > 0) return EXIT.failed;
  const silent = missing.filter((name) => requested.includes(name) || !isGone(name));
  if (silent.length > 0) return EXIT.timedOut;
  if (Object.keys(answers).length > 0) return EXIT.ok;
  throw new CliError({
    exitCode: EXIT.timedOut,
    what: 'No worker answered.',
    why: `No worker of app "${app.name}" runs on this store.`,
    hint: 'Start one with umbel worker, or check --name and --connection.',
  });
}

/** Returns the answers of workers as a document: answers, errors, and the workers that did not answer. */
export function answersDocument({ answers, errors, missing }: Answers<unknown>): object {
  return { workers: answers, errors, missing };
}

// Ctrl-C and SIGTERM as the normal end of commands that run until interrupted.

export interface Interruption {
  /** Aborted by Ctrl-C, SIGTERM, or `end`. */
  readonly signal: AbortSignal;
  readonly end: () => void;
  /** Removes the signal handlers. */
  readonly release: () => void;
}

/** Installs handlers that abort `signal` instead of ending the process. */
export function untilSignal(): Interruption {
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
