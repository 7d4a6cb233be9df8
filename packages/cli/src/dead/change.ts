/** Replaying and dropping dead letters: those of some ids, or all that are meant. */
import type { App, SkippedLetter } from '@umbel/core';
import type { Command } from 'commander';
import { integer } from '../args.js';
import { type CommandContext, type CommandModule, defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT, type ExitCode } from '../errors/exit-codes.js';
import { problemOf } from '../errors/problem.js';
import { examples, ownFlag } from '../flags.js';
import { readInput } from '../input.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { type ConfirmFlags, confirmed, confirmFlag } from '../operating/confirm.js';
import type { Output } from '../output/output.js';
import { cleanLine, counted, inCommands } from '../output/text.js';
import { checkMeant, type LetterFlags, letterFilter, letterFlags } from './filter.js';

type ChangeFlags = OperatorFlags &
  LetterFlags &
  ConfirmFlags & { readonly all?: boolean; readonly limit: number; readonly dryRun?: boolean };

function changeFlags(command: Command): void {
  command
    .addOption(ownFlag('--all', 'all that the filter leaves, instead of ids'))
    .addOption(
      ownFlag('--limit <n>', 'with --all, at most so many, the latest first')
        .argParser(integer(1, 100_000))
        .default(1000),
    )
    .addOption(ownFlag('--dry-run', 'with --all, tell what would be done, and do nothing'));
  letterFlags(command);
  confirmFlag(command);
  operatorFlags(command);
}

interface Counts {
  readonly done: number;
  readonly skipped: readonly SkippedLetter[];
  readonly cursor: string | undefined;
}

interface Change {
  /** Of its document. */
  readonly kind: string;
  /** `3 jobs run again`, or would. */
  readonly told: (count: number, isDry: boolean) => string;
  readonly question: (count: number) => string;
  readonly many: (app: App, flags: ChangeFlags, isDry: boolean) => Promise<Counts>;
  readonly one: (app: App, id: string) => Promise<void>;
  /** Whether it is asked for ids too. */
  readonly isFinal: boolean;
}

export const replay: CommandModule = defineCommand<ChangeFlags & { readonly input?: string }>({
  define(command) {
    command
      .summary('run failed jobs again')
      .description(
        'Runs failed jobs again, with all their attempts, under the same ids. With --input another input, which is checked ' +
          "against the task's schema first, where the code is known (--app). Many are counted, and asked for, before.",
      )
      .argument('[ids...]', 'ids of failed jobs')
      .addOption(ownFlag('-i, --input <json>', 'another input, as JSON, @file or -; of one job'));
    changeFlags(command);
    examples(command, [
      ['umbel dead replay 3f2a91c0-… --name shop', 'one'],
      [`umbel dead replay 3f2a91c0-… -A ./tasks.ts -i '{"to":"a@b.c"}'`, 'with another input'],
      ['umbel dead replay --all --task email.send --error TimeoutError --yes', 'all that failed so'],
    ]);
  },
  async run(context) {
    const { flags } = context;
    const [ids = []] = context.args as [string[]?];
    if (flags.input !== undefined && ids.length !== 1)
      throw new CliError({
        exitCode: EXIT.usage,
        what: 'Of which job is that the input?',
        why: `--input is for one job, and ${ids.length === 0 ? 'none is' : `${ids.length} are`} named.`,
      });
    const input = await readInput(flags.input);
    return change(context, {
      kind: 'replayed',
      told: (count, isDry) =>
        `${counted(count, 'job')} ${isDry ? 'would run' : count === 1 ? 'runs' : 'run'} again`,
      question: (count) => `Run ${counted(count, 'failed job')} again?`,
      isFinal: false,
      one: (app, id) => app.deadLetters.replay(id, input === undefined ? {} : { input }),
      many: async (app, { limit, ...filter }, dryRun) => {
        const { replayed, skipped, cursor } = await app.deadLetters.replayMany(letterFilter(filter), {
          limit,
          dryRun,
        });
        return { done: replayed, skipped, cursor };
      },
    });
  },
});

export const drop: CommandModule = defineCommand<ChangeFlags>({
  define(command) {
    command
      .summary('remove failed jobs for good')
      .description('Removes failed jobs from the store, for good. It asks before.')
      .argument('[ids...]', 'ids of failed jobs');
    changeFlags(command);
    examples(command, [
      ['umbel dead drop 3f2a91c0-… --name shop', 'one'],
      ['umbel dead drop --all --task old.task --yes', 'all of a task'],
    ]);
  },
  run: (context) =>
    change(context, {
      kind: 'dropped',
      told: (count, isDry) => `${counted(count, 'job')} ${isDry ? 'would be removed' : 'removed'}`,
      question: (count) => `Remove ${counted(count, 'failed job')} for good?`,
      isFinal: true,
      one: (app, id) => app.deadLetters.discard(id),
      many: async (app, { limit, ...filter }, dryRun) => {
        const { discarded, skipped, cursor } = await app.deadLetters.discardMany(letterFilter(filter), {
          limit,
          dryRun,
        });
        return { done: discarded, skipped, cursor };
      },
    }),
});

function change(context: CommandContext<ChangeFlags>, parts: Change): Promise<ExitCode> {
  const { flags, out } = context;
  const [ids = []] = context.args as [string[]?];
  checkMeant(ids, flags);
  return withOperated(context, async (app) => {
    if (!flags.all) return changeSome(app, ids, context, parts);
    const would = await parts.many(app, flags, true);
    if (flags.dryRun || would.done === 0) return told(out, parts, would, true);
    await confirmed(flags, parts.question(would.done));
    return told(out, parts, await parts.many(app, flags, false), false);
  });
}

async function changeSome(
  app: App,
  ids: readonly string[],
  { flags, out }: CommandContext<ChangeFlags>,
  parts: Change,
): Promise<ExitCode> {
  if (parts.isFinal) await confirmed(flags, parts.question(ids.length));
  const skipped: SkippedLetter[] = [];
  for (const id of ids) {
    try {
      await parts.one(app, id);
    } catch (error) {
      // Of one, the exit code tells why; of many, the others are to be done all the same.
      if (ids.length === 1 || problemOf(error).exitCode === EXIT.unreachable) throw error;
      skipped.push({ id, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return told(out, parts, { done: ids.length - skipped.length, skipped, cursor: undefined }, false);
}

function told(
  out: Output,
  { kind, told: words }: Change,
  { done, skipped, cursor }: Counts,
  isDry: boolean,
): ExitCode {
  if (out.isJson) {
    out.document(kind, { [kind]: done, skipped, isDryRun: isDry, ...(cursor !== undefined && { cursor }) });
  } else {
    out.data(words(done, isDry));
    for (const { id, reason } of skipped) out.note(cleanLine(inCommands(`${id}: ${reason}`)));
    if (cursor !== undefined) out.note(out.noteColors.dim('There are more than --limit.'));
  }
  return skipped.length > 0 ? EXIT.failed : EXIT.ok;
}
