/** `umbel dead`: lists, shows, replays and discards dead letters. */
import type { App, DeadLetterFilter, ErrorRecord, SkippedLetter } from '@umbel/core';
import type { Command } from 'commander';
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { type CommandContext, type CommandModule, defineCommand, defineGroup } from '../command.js';
import {
  createInputMasker,
  exactTime,
  pairs,
  printFacts,
  printTable,
  readableTime,
  relative,
  shortText,
  stateCell,
  type UnmaskedFlags,
  unmaskedFlag,
  valueText,
} from '../display.js';
import { CliError, EXIT, type ExitCode, problemOf } from '../errors.js';
import { examples, integer, plainFlag } from '../flags.js';
import { readInput } from '../input.js';
import {
  type ConfirmFlags,
  confirmFlag,
  noteMore,
  type PageFlags,
  pageFlags,
  pickFlags,
  requireConfirmation,
  type TimeFlags,
  timeFlags,
} from '../operator-flags.js';
import { cleanLine, counted, inCommands, type Output } from '../output.js';

// Flags that select dead letters, and their conversion to a filter.

interface DeadLetterFlags extends TimeFlags {
  readonly task?: string;
  readonly error?: string;
  readonly state?: 'failed' | 'expired';
  readonly tag?: string;
  readonly queue?: string;
}

function deadLetterFlags(command: Command): void {
  command
    .addOption(plainFlag('--task <name>', 'Of this task'))
    .addOption(plainFlag('--error <name>', 'With an error of this name or code'))
    .addOption(plainFlag('--state <state>', 'In this state').choices(['failed', 'expired']))
    .addOption(plainFlag('--tag <text>', 'With this tag'))
    .addOption(plainFlag('--queue <name>', 'In this queue'));
  timeFlags(command);
}

const KEYS = ['task', 'error', 'state', 'tag', 'queue', 'since', 'until'] as const;

function deadLetterFilter(flags: DeadLetterFlags): DeadLetterFilter {
  return pickFlags(flags, KEYS);
}

/** @throws {CliError} unless the arguments are either ids, or `--all` with an optional filter. */
function checkSelection(ids: readonly string[], flags: DeadLetterFlags & { readonly all?: boolean }): void {
  const isFiltered = KEYS.some((key) => flags[key] !== undefined && key !== 'queue');
  const why =
    ids.length > 0 && (flags.all || isFiltered)
      ? 'Got ids together with --all or a filter.'
      : ids.length === 0 && !flags.all
        ? 'Got neither.'
        : undefined;
  if (why === undefined) return;
  throw new CliError({
    exitCode: EXIT.usage,
    what: 'Expected either ids of dead letters or --all.',
    why,
    hint: 'Pass ids, or --all with a filter, such as --all --task email.send.',
  });
}

// Replaying and discarding dead letters: by ids, or all that a filter selects.

type ChangeFlags = OperatorFlags &
  DeadLetterFlags &
  ConfirmFlags & { readonly all?: boolean; readonly limit: number; readonly dryRun?: boolean };

function changeFlags(command: Command): void {
  command
    .addOption(plainFlag('--all', 'All dead letters that match the filter, instead of ids'))
    .addOption(
      plainFlag('--limit <n>', 'Maximum number of jobs with --all, latest first')
        .argParser(integer(1, 100_000))
        .default(1000),
    )
    .addOption(plainFlag('--dry-run', 'With --all, only print what would be done'));
  deadLetterFlags(command);
  confirmFlag(command);
  operatorFlags(command);
}

interface Counts {
  readonly done: number;
  readonly skipped: readonly SkippedLetter[];
  readonly cursor: string | undefined;
}

interface Change {
  /** The `kind` of the document. */
  readonly kind: string;
  /** Returns the outcome as text: `3 jobs run again`, or `3 jobs would run again`. */
  readonly summary: (count: number, isDry: boolean) => string;
  readonly question: (count: number) => string;
  readonly many: (app: App, flags: ChangeFlags, isDry: boolean) => Promise<Counts>;
  readonly one: (app: App, id: string) => Promise<void>;
  /** Whether the change also needs confirmation for ids. */
  readonly isFinal: boolean;
}

const replay: CommandModule = defineCommand<ChangeFlags & { readonly input?: string }>({
  define(command) {
    command
      .summary('Run failed jobs again')
      .description(
        'Run failed jobs again, with all their attempts, under the same ids. --input replaces the input; with the code of the ' +
          "app (--app), it is validated by the task's schema first. With --all, count the jobs and ask for confirmation.",
      )
      .argument('[ids...]', 'Ids of failed jobs')
      .addOption(plainFlag('-i, --input <json>', 'New input as JSON, @file, or - for stdin (one job only)'));
    changeFlags(command);
    examples(command, [
      ['umbel dead replay 3f2a91c0-… --name shop', 'replay one job'],
      [`umbel dead replay 3f2a91c0-… -A ./tasks.ts -i '{"to":"a@b.c"}'`, 'with a new input'],
      ['umbel dead replay --all --task email.send --error TimeoutError --yes', 'all with this error'],
    ]);
  },
  async run(context) {
    const { flags } = context;
    const [ids = []] = context.args as [string[]?];
    if (flags.input !== undefined && ids.length !== 1)
      throw new CliError({
        exitCode: EXIT.usage,
        what: `--input needs exactly one job id (got ${ids.length}).`,
        hint: 'Pass one id, or leave --input out.',
      });
    const input = await readInput(flags.input);
    return change(context, {
      kind: 'replayed',
      summary: (count, isDry) =>
        `${counted(count, 'job')} ${isDry ? 'would run' : count === 1 ? 'runs' : 'run'} again`,
      question: (count) => `Run ${counted(count, 'failed job')} again?`,
      isFinal: false,
      one: (app, id) => app.deadLetters.replay(id, input === undefined ? {} : { input }),
      many: async (app, { limit, ...filter }, dryRun) => {
        const { replayed, skipped, cursor } = await app.deadLetters.replayMany(deadLetterFilter(filter), {
          limit,
          dryRun,
        });
        return { done: replayed, skipped, cursor };
      },
    });
  },
});

const discard: CommandModule = defineCommand<ChangeFlags>({
  define(command) {
    command
      .alias('drop')
      .summary('Discard failed jobs permanently')
      .description('Discard failed jobs: remove them from the store permanently. Ask for confirmation first.')
      .argument('[ids...]', 'Ids of failed jobs');
    changeFlags(command);
    examples(command, [
      ['umbel dead discard 3f2a91c0-… --name shop', 'discard one job'],
      ['umbel dead discard --all --task old.task --yes', 'discard all of a task'],
    ]);
  },
  run: (context) =>
    change(context, {
      kind: 'dropped',
      summary: (count, isDry) => `${counted(count, 'job')} ${isDry ? 'would be discarded' : 'discarded'}`,
      question: (count) => `Discard ${counted(count, 'failed job')} permanently?`,
      isFinal: true,
      one: (app, id) => app.deadLetters.discard(id),
      many: async (app, { limit, ...filter }, dryRun) => {
        const { discarded, skipped, cursor } = await app.deadLetters.discardMany(deadLetterFilter(filter), {
          limit,
          dryRun,
        });
        return { done: discarded, skipped, cursor };
      },
    }),
});

function change(context: CommandContext<ChangeFlags>, action: Change): Promise<ExitCode> {
  const { flags, out } = context;
  const [ids = []] = context.args as [string[]?];
  checkSelection(ids, flags);
  return withSharedApp(context, async (app) => {
    if (!flags.all) return changeByIds(app, ids, context, action);
    const would = await action.many(app, flags, true);
    if (flags.dryRun || would.done === 0) return printCounts(out, action, would, true);
    await requireConfirmation(flags, action.question(would.done));
    return printCounts(out, action, await action.many(app, flags, false), false);
  });
}

async function changeByIds(
  app: App,
  ids: readonly string[],
  { flags, out }: CommandContext<ChangeFlags>,
  action: Change,
): Promise<ExitCode> {
  if (action.isFinal) await requireConfirmation(flags, action.question(ids.length));
  const skipped: SkippedLetter[] = [];
  for (const id of ids) {
    try {
      await action.one(app, id);
    } catch (error) {
      // With one id, the exit code states the reason. With several, an error must not stop the others.
      if (ids.length === 1 || problemOf(error).exitCode === EXIT.unreachable) throw error;
      skipped.push({ id, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return printCounts(out, action, { done: ids.length - skipped.length, skipped, cursor: undefined }, false);
}

function printCounts(
  out: Output,
  { kind, summary }: Change,
  { done, skipped, cursor }: Counts,
  isDry: boolean,
): ExitCode {
  if (out.isJson) {
    out.document(kind, { [kind]: done, skipped, isDryRun: isDry, ...(cursor !== undefined && { cursor }) });
  } else {
    out.data(summary(done, isDry));
    for (const { id, reason } of skipped) out.note(cleanLine(inCommands(`${id}: ${reason}`)));
    if (cursor !== undefined) out.note(out.noteColors.dim('More jobs match than --limit allows.'));
  }
  return skipped.length > 0 ? EXIT.failed : EXIT.ok;
}

const list: CommandModule = defineCommand<OperatorFlags & DeadLetterFlags & PageFlags & UnmaskedFlags>({
  define(command) {
    command
      .summary('List failed jobs, latest first')
      .description(
        'List the jobs that failed permanently, latest first. Steps that never ran are not listed.',
      );
    deadLetterFlags(command);
    pageFlags(command);
    unmaskedFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel dead list --name shop', 'the latest 50'],
      ['umbel dead list --task email.send --error TimeoutError --since 1d', 'with a filter'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app, isNamed) => {
      const { out, flags } = context;
      const maskInput = createInputMasker({ app, isNamed }, flags, out);
      const { limit, cursor } = flags;
      const letters = await app.deadLetters.list({ ...deadLetterFilter(flags), limit, cursor });
      const more = letters.length === limit ? letters.at(-1)?.cursor : undefined;
      if (out.isJson) {
        const shown = letters.map((job) => ({ ...job, input: maskInput(job.task, job.input) }));
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
          relative(readableTime(failedAt)),
          shortText(`${error.name}: ${error.message}`),
        ]),
        'No dead letters match.',
      );
      noteMore(out, more);
      return EXIT.ok;
    }),
});

const show: CommandModule = defineCommand<OperatorFlags & UnmaskedFlags>({
  define(command) {
    command
      .summary("Show a failed job's details")
      .description(
        "Show a failed job's details: the input that its handler received, its error with causes and stack, its times and " +
          'its log. With the code of the app (--app), sensitive values of the input are masked.',
      )
      .argument('<id>', 'Id of the failed job');
    unmaskedFlag(command);
    operatorFlags(command);
    examples(command, [['umbel dead show 3f2a91c0-… --name shop', 'its input and error']]);
  },
  run: (context) =>
    withSharedApp(context, async (app, isNamed) => {
      const { out, flags } = context;
      const maskInput = createInputMasker({ app, isNamed }, flags, out);
      const [id] = context.args as [string];
      const found = await app.deadLetters.get(id);
      const job = { ...found, input: maskInput(found.task, found.input) };
      if (out.isJson) {
        out.document('dead-letter', { letter: job });
        return EXIT.ok;
      }
      const { timeline, error, canReplay, whyNot = '' } = job;
      printFacts(out, [
        ['id', job.id],
        ['task', job.displayName === job.task ? job.task : `${job.displayName} (${job.task})`],
        ['state', stateCell(job.state, out)],
        ['queue', job.queue],
        ['attempts', `${job.attempts}`],
        ['sent', exactTime(timeline.enqueuedAt)],
        ['replayed', exactTime(timeline.replayedAt)],
        ['started', exactTime(timeline.startedAt)],
        ['failed', exactTime(readableTime(timeline.failedAt))],
        ['run', job.runId ?? ''],
        ['sent by', job.parentId ?? ''],
        ['tags', job.tags.join(' ')],
        ['headers', pairs(job.headers)],
        ['input', valueText(job.input, 2)],
        ['error', inCommands(`${error.name}: ${error.message}`)],
        ['code', error.code === undefined ? '' : String(error.code)],
        ['stack', stackText(error.stack, flags.verbose === true)],
        ['fields', error.fields === undefined ? '' : valueText(error.fields, 2)],
        ...reasonsOf(error),
        ['lost', job.lostStarts.length === 0 ? '' : `its worker was lost ${job.lostStarts.length} times`],
        ['log', job.logs.join('\n')],
        ['replay', canReplay ? `umbel dead replay ${job.id}` : inCommands(whyNot)],
      ]);
      return EXIT.ok;
    }),
});

const STACK_LINES = 6;

function stackText(stack: string | undefined, isWhole: boolean): string {
  const lines = (stack ?? '').split('\n');
  if (isWhole || lines.length <= STACK_LINES) return lines.join('\n');
  return [...lines.slice(0, STACK_LINES), '    … whole stack with -v'].join('\n');
}

/** Returns the causes and inner errors of an error, depth first. */
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
  description: 'Inspect, replay and discard dead letters: jobs that failed permanently.',
  verbs: { list, show, replay, discard },
  examples: [
    ['umbel dead list --name shop', 'failed jobs'],
    ['umbel dead show 3f2a91c0-… --name shop', 'one job, with its error'],
    ['umbel dead replay 3f2a91c0-… --name shop', 'run it again'],
  ],
});
