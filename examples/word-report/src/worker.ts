/** A worker for runs that other processes send: `UMBEL_URL=redis://… node dist/worker.js`. */
import { UsageError } from './errors.js';
import { exitWithin, stopSignal, unlessAborted } from './stop.js';
import { counted, report } from './terminal.js';

/** For the tasks that are running when the worker is stopped. */
const CLOSE_TIMEOUT_MS = 10_000;

try {
  if (!process.env.UMBEL_URL) {
    throw new UsageError(
      'UMBEL_URL is not set: a worker needs the Redis that it shares with other processes.',
    );
  }
  const { app } = await import('./app.js'); // here, so that a wrong UMBEL_URL is told like any other error
  const { allTasksRunHere } = await import('./activity.js');
  await import('./tasks.js'); // what this worker can run
  const stop = stopSignal();
  await unlessAborted(app.worker().start(), stop);
  console.log('The worker takes tasks. Ctrl-C stops it.');
  await new Promise((resolve) => stop.addEventListener('abort', resolve));
  exitWithin(CLOSE_TIMEOUT_MS);
  await app.close();
  console.log(`Stopped after ${counted(allTasksRunHere(), 'task')}.`);
} catch (error) {
  process.exit(report(error)); // a store that does not answer would keep the process alive
}
