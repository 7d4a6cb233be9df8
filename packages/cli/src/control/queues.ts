import type { Rate } from '@umbel/core';
import { InvalidArgumentError } from 'commander';
import { type CommandModule, defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';

export const pause: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('let workers take no more jobs of a queue')
      .description(
        'Lets workers take no more jobs of a queue, until resume; those that run go on. It is stored.',
      )
      .argument('<name>', 'name of a queue');
    operatorFlags(command);
    examples(command, [['umbel control pause mail --name shop', 'until it is resumed']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const [queue] = context.args as [string];
      await app.control.pause(queue);
      if (context.out.isJson) context.out.document('paused', { queue });
      else context.out.data(`queue ${queue} is paused`);
      return EXIT.ok;
    }),
});

export const resume: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('let them take jobs of it again')
      .description('Lets workers take jobs of a queue again.')
      .argument('<name>', 'name of a queue');
    operatorFlags(command);
    examples(command, [['umbel control resume mail --name shop', 'after pause']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const [queue] = context.args as [string];
      await app.control.resume(queue);
      if (context.out.isJson) context.out.document('resumed', { queue });
      else context.out.data(`queue ${queue} is served again`);
      return EXIT.ok;
    }),
});

export const rateLimit: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('bound how many jobs of a queue start in a time')
      .description('Bounds how many jobs of a queue start in a time, in all workers together. It is stored.')
      .argument('<name>', 'name of a queue')
      .argument('<rate>', "such as 100/s, 20/m, 5/h; 'none' for no bound", rateOrNone);
    operatorFlags(command);
    examples(command, [
      ['umbel control rate-limit mail 100/m --name shop', 'slower'],
      ['umbel control rate-limit mail none --name shop', 'as fast as it goes'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const [queue, rate] = context.args as [string, string];
      await app.control.rateLimit(queue, rate === 'none' ? undefined : (rate as Rate)); // it is checked, and again there
      if (context.out.isJson)
        context.out.document('rate-limit', { queue, rate: rate === 'none' ? null : rate });
      else context.out.data(rate === 'none' ? `queue ${queue} has no rate limit` : `queue ${queue}: ${rate}`);
      return EXIT.ok;
    }),
});

function rateOrNone(text: string): string {
  if (text === 'none' || /^\d+\/[smhd]$/.test(text)) return text;
  throw new InvalidArgumentError("Expected a rate such as '100/s' or '20/m', or 'none'.");
}
