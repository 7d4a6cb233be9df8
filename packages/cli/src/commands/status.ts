import type { WorkerInfo } from '@umbel/core';
import { defineCommand } from '../command.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples } from '../flags.js';
import { printQueues } from '../inspect/queues.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { findingsOf } from '../operating/findings.js';
import { checkKnown } from '../operating/known-app.js';
import { printFacts } from '../operating/show.js';
import { currentTime } from '../operating/times.js';
import { cleanLine, counted } from '../output/text.js';

export default defineCommand<OperatorFlags>({
  define(command) {
    command.description(
      'Tells at a glance how an app is: its workers, its queues, and what deserves a look, such as jobs that wait where no ' +
        'worker takes them.',
    );
    operatorFlags(command);
    examples(command, [
      ['umbel status --name shop', 'without code'],
      ['umbel status --app ./tasks.ts --json', 'for a script'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [workers, queues] = await Promise.all([app.inspect.workers(), app.inspect.queues()]);
      const { store } = app.describe();
      if (app.describe().tasks.length === 0) await checkKnown(app, workers, queues);
      const findings = findingsOf(workers, queues, currentTime());
      const notes = findings.map(({ message }) => message);
      if (out.isJson) {
        out.document('status', {
          app: app.name,
          store: store.address,
          workers: summaryOf(workers),
          queues,
          notes,
          findings,
        });
        return EXIT.ok;
      }
      const { online, closing, missing, active, concurrency } = summaryOf(workers);
      const parts = [
        `${online} online`,
        ...(closing > 0 ? [`${closing} closing`] : []),
        ...(missing > 0 ? [`${missing} missing`] : []),
      ];
      printFacts(out, [
        ['app', app.name],
        ['store', store.address],
        ['workers', `${parts.join(', ')}; ${active} of ${counted(concurrency, 'place')} taken`],
      ]);
      out.data('');
      await printQueues(out, queues);
      if (notes.length > 0) out.data('');
      for (const { message, hint, status } of findings) {
        out.data(`${out.colors[status === 'error' ? 'red' : 'yellow']('!')} ${cleanLine(message)}`);
        out.data(out.colors.dim(`    ${cleanLine(hint)}`));
      }
      return EXIT.ok;
    }),
});

function summaryOf(workers: readonly WorkerInfo[]) {
  const count = (state: WorkerInfo['state']) => workers.filter((worker) => worker.state === state).length;
  const sum = (key: 'active' | 'concurrency') => workers.reduce((total, worker) => total + worker[key], 0);
  return {
    online: count('online'),
    closing: count('closing'),
    missing: count('missing'),
    active: sum('active'),
    concurrency: sum('concurrency'),
  };
}
