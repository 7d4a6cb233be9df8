// The processes of a soak, and what is asked of them.
import { fork } from 'node:child_process';
import { once } from 'node:events';

const program = new URL('program.mjs', import.meta.url);
const running = new Set();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL'); // nothing outlives this process
});
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 }))
  process.once(signal, () => process.exit(code)); // which ends Redis too

/** Starts a sender or a worker, and waits until it is ready. */
export async function startProcess(role, settings) {
  const child = fork(program, [role, JSON.stringify(settings)], { execArgv: ['--expose-gc'] });
  running.add(child);
  const exited = once(child, 'exit').finally(() => running.delete(child));
  const answer = () =>
    Promise.race([
      once(child, 'message').then(([message]) => message),
      exited.then(([code, signal]) => {
        throw new Error(`the ${role} has ended by itself: ${code ?? signal}`);
      }),
    ]);
  await answer();
  return {
    ask(request) {
      const answered = answer();
      child.send(request);
      return answered;
    },
    /** Ends it by a signal. */
    async end(signal) {
      child.kill(signal);
      await exited;
    },
  };
}

/**
 * A worker that is ended and started again, until `stop`: by SIGTERM, while `isRough()` by turns by SIGKILL. A worker that
 * is killed leaves a record of itself for an hour, so that a soak kills in its first quarter only.
 */
export async function restartedWorker(settings, { everyMs, isRough }) {
  let restarts = 0;
  let stopping = false;
  let wake = () => {};
  const rest = () =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, everyMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  let worker = await startProcess('worker', { ...settings, worker: 'restarted' });
  const looping = (async () => {
    for (;;) {
      await rest();
      if (stopping) return worker.ask('stop');
      restarts += 1;
      await worker.end(isRough() && restarts % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
      worker = await startProcess('worker', { ...settings, worker: 'restarted' });
    }
  })();
  looping.catch(() => {}); // thrown where it is waited for
  return {
    get restarts() {
      return restarts;
    },
    async stop() {
      stopping = true;
      wake();
      await looping;
    },
  };
}
