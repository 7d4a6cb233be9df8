import type { OpenWait } from '@umbel/core';
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { type CommandModule, defineCommand, defineGroup } from '../command.js';
import { printTable, relative } from '../display.js';
import { EXIT } from '../errors.js';
import { examples, plainFlag } from '../flags.js';
import { readInput } from '../input.js';
import { noteMore, type PageFlags, pageFlags } from '../operator-flags.js';

type SendFlags = OperatorFlags & { readonly payload?: string };

const send: CommandModule = defineCommand<SendFlags>({
  define(command) {
    command
      .summary('Send a signal to the wait with a key')
      .description(
        'Send a signal to the wait with a key. Print accepted, duplicate (an earlier signal was accepted) or tooLate (the wait ' +
          'ended without one); the exit code of the last two is 1. Without a wait, the signal is kept for one that starts ' +
          "later. With the app's code (--app), the payload is validated before it is sent. With --name, the worker " +
          'validates it.',
      )
      .argument('<signal>', 'Name of the signal')
      .argument('<key>', 'Key of the wait')
      .addOption(plainFlag('-p, --payload <json>', 'Payload as JSON, @file or - for stdin'));
    operatorFlags(command);
    examples(command, [
      [`umbel signal send expense.approved exp-17 --payload '{"by":"ann","ok":true}'`, 'approve an expense'],
      ['umbel signal send ready batch-4 --name shop', 'without a payload and without code'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const [name, key] = context.args as [string, string];
      const payload = await readInput(flags.payload);
      const answer = await app.signals.send(name, key, payload);
      if (out.isJson) out.document('signal', { name, key, answer });
      else out.data(answer);
      return answer === 'accepted' ? EXIT.ok : EXIT.failed;
    }),
});

type ListFlags = OperatorFlags & PageFlags & { readonly key?: string; readonly tag?: string };

const list: CommandModule = defineCommand<ListFlags>({
  define(command) {
    command
      .summary('List the waits that are open')
      .description('List the waits for signals that no signal has decided yet, ordered by signal and start.')
      .argument('[signal]', 'Name of the signal')
      .addOption(plainFlag('--key <text>', 'Only the waits with this key'))
      .addOption(plainFlag('--tag <text>', 'Only waits of runs with this tag'));
    pageFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel signal list --name shop', 'all open waits'],
      ['umbel signal list expense.approved --json', 'with the JSON Schema of the payload'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const [name] = context.args as [string?];
      const { key, tag, cursor, limit } = flags;
      const page = await app.signals.waiting({ name, key, tag, cursor, limit });
      if (out.isJson) {
        out.document('waits', {
          waits: page.items,
          ...(page.cursor !== undefined && { cursor: page.cursor }),
        });
        return EXIT.ok;
      }
      await printTable(
        out,
        ['SIGNAL', 'KEY', 'RUN', 'SINCE', 'UNTIL', 'TAGS'],
        page.items.map((wait: OpenWait) => [
          wait.name,
          wait.key,
          wait.runId,
          relative(wait.since),
          wait.until === undefined ? 'no end' : relative(wait.until),
          wait.tags.join(' '),
        ]),
        'No wait is open.',
      );
      noteMore(out, page.cursor);
      return EXIT.ok;
    }),
});

export default defineGroup({
  description: 'Send signals, and list the waits for them.',
  verbs: { list, send },
  examples: [
    ['umbel signal list --name shop', 'the waits that are open'],
    ['umbel signal send ready batch-4 --name shop', 'decide one of them'],
  ],
});
