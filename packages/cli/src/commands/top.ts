import { setTimeout } from 'node:timers/promises';
import { integer } from '../args.js';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { checkKnown } from '../operating/known-app.js';
import { interval, longDuration } from '../operating/times.js';
import { untilSignal } from '../operating/until-signal.js';
import { isInteractive } from '../output/output.js';
import { frame } from '../top/frame.js';
import { Sampler } from '../top/sampler.js';
import { Screen } from '../top/screen.js';
import { type Sight, Watching } from '../top/watching.js';

const WIDE = { columns: 1000, rows: 10_000 };

export default defineCommand<OperatorFlags & { readonly interval?: number; readonly count?: number }>({
  define(command) {
    command
      .description(
        'Shows the queues and workers of an app as they are, and what goes in and out of the queues a second, anew every second ' +
          'until q or Ctrl-C. Without a terminal it prints one snapshot; with --interval or --count, further ones. While the store does not answer it ' +
          'says so and goes on; the exit code is 69 only if it never answered.',
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
      // A store that never answers ends the command, before anything is drawn.
      const [workers, queues] = await Promise.all([app.inspect.workers(), app.inspect.queues()]);
      if (app.describe().tasks.length === 0) await checkKnown(app, workers, queues);
      const watching = new Watching(sampler, signal);
      const listening = watching.listen();
      listening.catch(ending.end);
      const screen = isLive ? new Screen(ending.end) : undefined;
      let lines: readonly string[] = [];
      let isSilent = false;
      const tell = (sight: Sight): boolean => {
        if ('snapshot' in sight) {
          if (isSilent && screen === undefined) out.note('The store answers again.');
          isSilent = false;
          lines = frame(sight.snapshot, screen === undefined ? WIDE : sizeOf(), out.colors);
          if (screen !== undefined) screen.draw(lines);
          else if (out.isJson) out.document('top', sight.snapshot);
          else out.data(lines.join('\n'));
          return true;
        }
        const away = `The store has not answered for ${longDuration(sight.silentMs)}; it is asked again.`;
        if (screen !== undefined) screen.draw([out.colors.red(away), ...lines.slice(1)]);
        else if (!isSilent) out.note(away);
        isSilent = true;
        return false;
      };
      try {
        if (screen !== undefined) tell(await watching.next());
        for (let looks = 0; looks < count && !signal.aborted; ) {
          await setTimeout(flags.interval ?? 1000, undefined, { signal }).catch(() => {}); // it is aborted
          if (signal.aborted) break;
          const sight = await watching.next();
          if (!signal.aborted && tell(sight)) looks += 1;
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
