/** `umbel dashboard`: serves the web page of an app on this machine. */
import { once } from 'node:events';
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { defineCommand } from '../command.js';
import { type DashboardServer, DEFAULT_PORT, MAX_PORT, startDashboard } from '../dashboard-server.js';
import { EXIT } from '../errors.js';
import { examples, integer, plainFlag } from '../flags.js';
import { untilSignal } from '../operator-flags.js';

type DashboardFlags = OperatorFlags & {
  readonly port: number;
  readonly readOnly?: boolean;
  readonly traceUrl?: string;
};

export default defineCommand<DashboardFlags>({
  define(command) {
    command
      .summary('Serve a web page of the app on this machine')
      .description(
        'Serve a web page of jobs, workflow runs, queues, workers and schedules, and print its URL. Only this machine can ' +
          'open it, and only with the token in the URL. Requires @umbel/dashboard. Ctrl-C stops it.',
      )
      .addOption(
        plainFlag('--port <n>', 'Port; 0 is any free one')
          .argParser(integer(0, MAX_PORT))
          .default(DEFAULT_PORT),
      )
      .addOption(plainFlag('--read-only', 'Refuse every action that changes something'))
      .addOption(
        plainFlag('--trace-url <url>', 'Address of a trace, with {traceId} in it, to which jobs link'),
      );
    operatorFlags(command);
    examples(command, [
      ['umbel dashboard --app ./tasks.ts', 'with masked inputs and forms for all tasks'],
      ['umbel dashboard --name shop -b redis://db:6379 --read-only', 'without the code'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const interruption = untilSignal();
      const stopped = once(interruption.signal, 'abort');
      let server: DashboardServer | undefined;
      try {
        server = await startDashboard({
          app,
          folder: process.cwd(),
          port: flags.port,
          readOnly: flags.readOnly === true,
          traceUrl: flags.traceUrl,
          out,
        });
        if (out.isJson) out.document('dashboard', { url: server.url });
        else out.data(server.url);
        await stopped;
        return EXIT.ok;
      } finally {
        interruption.release();
        await server?.close();
      }
    }),
});
