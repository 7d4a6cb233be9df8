import type { ErrorRecord } from '@umbel/core';
import { type CommandModule, defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { type PageFlags, pageFlags, tellMore } from '../operating/pages.js';
import { maskedInputs, type UnmaskedFlags, unmaskedFlag } from '../operating/sensitive.js';
import { pairs, printFacts, printTable, shortText, stateCell, valueText } from '../operating/show.js';
import { exact, known, relative } from '../operating/times.js';
import { inCommands } from '../output/text.js';
import { type LetterFlags, letterFilter, letterFlags } from './filter.js';

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
