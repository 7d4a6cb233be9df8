import { setTimeout } from 'node:timers/promises';
import { integer } from '../args.js';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { interval } from '../operating/times.js';
import { untilSignal } from '../operating/until-signal.js';
import { isInteractive } from '../output/output.js';
import { frame } from '../top/frame.js';
import { Sampler } from '../top/sampler.js';
import { Screen } from '../top/screen.js';

const WIDE = { columns: 1000, rows: 10_000 };

export default defineCommand<OperatorFlags & { readonly interval?: number; readonly count?: number }>({
  define(command) {
    command
      .description(
        'Shows the queues and workers of an app as they are, and what goes in and out of the queues a second, anew every second ' +
          'until q or Ctrl-C. Without a terminal it prints one snapshot; with --interval or --count, further ones.',
      )
      .addOption(ownFlag('--interval <time>', 'time between two looks (default: 1s)').argParser(interval))
      .addOption(ownFlag('--count <n>', 'end after so many').argParser(integer(1)));
    operatorFlags(command);
    examples(command, [
      ['umbel top --name shop', 'live'],
      ['umbel top --name shop --json', 'one snapshot, for a script'],
      ['umbel top --name shop --json --interval 10s', 'one every ten seconds, until Ctrl-C'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const ending = untilSignal();
      const { signal } = ending;
      const isLive = !out.isJson && isInteractive(process.stdout, process.env);
      const isEndless = isLive || flags.interval !== undefined;
      const count = flags.count ?? (isEndless ? Number.POSITIVE_INFINITY : 1);
      const sampler = new Sampler(app);
      await app.inspect.queues(); // a store that does not answer is told before anything is drawn
      const listening = sampler.listen(signal);
      listening.catch(ending.end);
      const screen = isLive ? new Screen(ending.end) : undefined;
      try {
        if (screen !== undefined) screen.draw(frame(await sampler.look(), sizeOf(), out.colors));
        for (let looks = 0; looks < count && !signal.aborted; looks += 1) {
          await setTimeout(flags.interval ?? 1000, undefined, { signal }).catch(() => {}); // it is aborted
          if (signal.aborted) break;
          const snapshot = await sampler.look();
          if (screen !== undefined) screen.draw(frame(snapshot, sizeOf(), out.colors));
          else if (out.isJson) out.document('top', snapshot);
          else out.data(frame(snapshot, WIDE, out.colors).join('\n'));
        }
      } finally {
        screen?.close();
        ending.end();
        ending.release();
      }
      await listening;
      return EXIT.ok;
    }),
});

function sizeOf() {
  const { columns = 80, rows = 24 } = process.stdout;
  return { columns, rows };
}
