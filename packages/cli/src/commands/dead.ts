import type { App, DeadLetterFilter, ErrorRecord, SkippedLetter } from '@umbel/core';
import type { Command } from 'commander';
import { type OperatorFlags, operatorFlags, withOperated } from '../app-commands.js';
import { type CommandContext, type CommandModule, defineCommand, defineGroup } from '../command.js';
import {
  exact,
  known,
  maskedInputs,
  pairs,
  printFacts,
  printTable,
  relative,
  shortText,
  stateCell,
  type UnmaskedFlags,
  unmaskedFlag,
  valueText,
} from '../display.js';
import { CliError, EXIT, type ExitCode, problemOf } from '../errors.js';
import { examples, integer, ownFlag } from '../flags.js';
import { readInput } from '../input.js';
import {
  type ConfirmFlags,
  confirmed,
  confirmFlag,
  given,
  type PageFlags,
  pageFlags,
  type TimeFlags,
  tellMore,
  timeFlags,
} from '../operator-flags.js';
import { cleanLine, counted, inCommands, type Output } from '../output.js';

// Which dead letters are meant: the flags, and the filter that they are.

export interface LetterFlags extends TimeFlags {
  readonly task?: string;
  readonly error?: string;
  readonly state?: 'failed' | 'expired';
  readonly tag?: string;
  readonly queue?: string;
}

export function letterFlags(command: Command): void {
  command
    .addOption(ownFlag('--task <name>', 'of this task'))
    .addOption(ownFlag('--error <name>', 'that failed with an error of this name or code'))
    .addOption(ownFlag('--state <state>', 'that ended so').choices(['failed', 'expired']))
    .addOption(ownFlag('--tag <text>', 'that bear this tag'))
    .addOption(ownFlag('--queue <name>', 'in this queue'));
  timeFlags(command);
}

const KEYS = ['task', 'error', 'state', 'tag', 'queue', 'since', 'until'] as const;

export function letterFilter(flags: LetterFlags): DeadLetterFilter {
  return given(flags, KEYS);
}

/** @throws {CliError} unless either ids are given, or `--all`, to which a filter belongs. */
export function checkMeant(ids: readonly string[], flags: LetterFlags & { readonly all?: boolean }): void {
  const isFiltered = KEYS.some((key) => flags[key] !== undefined && key !== 'queue');
  const why =
    ids.length > 0 && (flags.all || isFiltered)
      ? 'Ids are named, and --all or a filter is given too.'
      : ids.length === 0 && !flags.all
        ? 'Neither ids are named, nor is --all given.'
        : undefined;
  if (why === undefined) return;
  throw new CliError({
    exitCode: EXIT.usage,
    what: 'Which dead letters?',
    why,
    hint: 'All of a task, for example: --all --task email.send',
  });
}

// Replaying and dropping dead letters: those of some ids, or all that are meant.

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

export const list: CommandModule = defineCommand<OperatorFlags & LetterFlags & PageFlags & UnmaskedFlags>({
  define(command) {
    command
      .summary('failed jobs, the latest first')
      .description('Lists the jobs that have failed for good, the latest first; not steps that never ran.');
    letterFlags(command);
    pageFlags(command);
    unmaskedFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel dead list --name shop', 'the latest 50'],
      ['umbel dead list --task email.send --error TimeoutError --since 1d', 'some of them'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app, isNamed) => {
      const { out, flags } = context;
      const masked = maskedInputs({ app, isNamed }, flags, out);
      const { limit, cursor } = flags;
      const letters = await app.deadLetters.list({ ...letterFilter(flags), limit, cursor });
      const more = letters.length === limit ? letters.at(-1)?.cursor : undefined;
      if (out.isJson) {
        const shown = letters.map((letter) => ({ ...letter, input: masked(letter.task, letter.input) }));
        out.document('dead-letters', { letters: shown, ...(more !== undefined && { cursor: more }) });
        return EXIT.ok;
      }
      await printTable(
        out,
        ['ID', 'TASK', 'STATE', 'QUEUE', 'ATTEMPTS', 'FAILED', 'ERROR'],
        letters.map(({ id, task, state, queue, attempts, failedAt, error }) => [
          id,
          task,
          stateCell(state, out),
          queue,
          `${attempts}`,
          relative(known(failedAt)),
          shortText(`${error.name}: ${error.message}`),
        ]),
        'There are no such dead letters.',
      );
      tellMore(out, more);
      return EXIT.ok;
    }),
});

export const show: CommandModule = defineCommand<OperatorFlags & UnmaskedFlags>({
  define(command) {
    command
      .summary('all that is known of one')
      .description(
        'Prints all that is known of a failed job: its input as the handler got it, its error with causes and stack, its ' +
          'times and log. Sensitive values of the input are masked where the code of the app is known (--app).',
      )
      .argument('<id>', 'id of a failed job');
    unmaskedFlag(command);
    operatorFlags(command);
    examples(command, [['umbel dead show 3f2a91c0-… --name shop', 'why it failed']]);
  },
  run: (context) =>
    withOperated(context, async (app, isNamed) => {
      const { out, flags } = context;
      const masked = maskedInputs({ app, isNamed }, flags, out);
      const [id] = context.args as [string];
      const found = await app.deadLetters.get(id);
      const letter = { ...found, input: masked(found.task, found.input) };
      if (out.isJson) {
        out.document('dead-letter', { letter });
        return EXIT.ok;
      }
      const { timeline, error, canReplay, whyNot = '' } = letter;
      printFacts(out, [
        ['id', letter.id],
        ['task', letter.displayName === letter.task ? letter.task : `${letter.displayName} (${letter.task})`],
        ['state', stateCell(letter.state, out)],
        ['queue', letter.queue],
        ['attempts', `${letter.attempts}`],
        ['sent', exact(timeline.enqueuedAt)],
        ['replayed', exact(timeline.replayedAt)],
        ['started', exact(timeline.startedAt)],
        ['failed', exact(known(timeline.failedAt))],
        ['run', letter.runId ?? ''],
        ['sent by', letter.parentId ?? ''],
        ['tags', letter.tags.join(' ')],
        ['headers', pairs(letter.headers)],
        ['input', valueText(letter.input, 2)],
        ['error', inCommands(`${error.name}: ${error.message}`)],
        ['code', error.code === undefined ? '' : String(error.code)],
        ['stack', stackText(error.stack, flags.verbose === true)],
        ['fields', error.fields === undefined ? '' : valueText(error.fields, 2)],
        ...reasonsOf(error),
        [
          'lost',
          letter.lostStarts.length === 0 ? '' : `its worker was lost ${letter.lostStarts.length} times`,
        ],
        ['log', letter.logs.join('\n')],
        ['replay', canReplay ? `umbel dead replay ${letter.id}` : inCommands(whyNot)],
      ]);
      return EXIT.ok;
    }),
});

const STACK_LINES = 6;

function stackText(stack: string | undefined, isWhole: boolean): string {
  const lines = (stack ?? '').split('\n');
  if (isWhole || lines.length <= STACK_LINES) return lines.join('\n');
  return [...lines.slice(0, STACK_LINES), '    … all of it with -v'].join('\n');
}

/** The causes and the inner errors of an error, each before its own. */
function reasonsOf({ cause, errors = [], omittedErrors }: ErrorRecord): (readonly [string, string])[] {
  const shown = (label: string, error: ErrorRecord) =>
    [[label, `${error.name}: ${error.message}`], ...reasonsOf(error)] as const;
  return [
    ...(cause === undefined ? [] : shown('cause', cause)),
    ...errors.flatMap((error) => shown('inner', error)),
    ...(omittedErrors === undefined ? [] : [['inner', `and ${omittedErrors} more`] as const]),
  ];
}

export default defineGroup({
  description: 'Looks at the jobs that have failed for good, runs them again, or removes them.',
  verbs: { list, show, replay, drop },
  examples: [
    ['umbel dead list --name shop', 'what has failed'],
    ['umbel dead show 3f2a91c0-… --name shop', 'why'],
    ['umbel dead replay 3f2a91c0-… --name shop', 'again'],
  ],
});
