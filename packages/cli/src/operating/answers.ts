/** What came of asking workers: who has not answered, and what that is as an exit code. */
import type { Answers, App, AskOptions, Duration } from '@umbel/core';
import type { Command } from 'commander';
import { duration, list } from '../args.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT, type ExitCode } from '../errors/exit-codes.js';
import { ownFlag } from '../flags.js';
import type { Output } from '../output/output.js';
import { cleanLine } from '../output/text.js';

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
