// No-op tasks that wait already, run by a worker program of its own: Umbel's with a process for each core, BullMQ's with
// the one that it has. Their queue is paused until all processes are there. Timed from then to the last one's end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../run/worker-program.mjs', import.meta.url));
const POLL_MS = 20;

async function timed({ system, url, name, size, resume, completed }) {
  const worker = spawn(process.execPath, [PROGRAM, system, url, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(worker, 'exit');
  try {
    const isReady = once(createInterface(worker.stdout), 'line').then(() => true);
    if (!(await Promise.race([isReady, exited.then(() => false)]))) throw new Error('the worker has ended');
    const startedAt = performance.now();
    await resume();
    while ((await completed()) < size) {
      if (worker.exitCode !== null) throw new Error('the worker has ended');
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return { phases: {}, facts: { 'µs a task': ((performance.now() - startedAt) * 1000) / size } };
  } finally {
    worker.kill();
    await exited;
  }
}

export const row = {
  title: "no-op tasks by a worker with processes: 'auto', beside one BullMQ worker process",
  size: { full: 20_000, quick: 4_000 },
  targets: [{ fact: 'µs a task', against: 'bullmq', most: 1 }],
  systems: {
    async umbel({ adapter, url, size }) {
      const own = adapter.open(url);
      const queue = own.app.queue('default');
      await queue.pause();
      await own.noop.sendMany(Array.from({ length: size }, () => ({ a: 1 })));
      const told = await timed({
        ...{ system: 'umbel', url, name: own.app.name, size },
        resume: () => queue.resume(),
        completed: async () => (await queue.counts()).completed,
      });
      await own.close();
      return told;
    },
    async bullmq({ adapter, url, size }) {
      const own = adapter.open(url);
      await own.queue.pause();
      await own.queue.addBulk(Array.from({ length: size }, () => ({ name: 'noop', data: { a: 1 } })));
      const told = await timed({
        ...{ system: 'bullmq', url, name: own.name, size },
        resume: () => own.queue.resume(),
        completed: () => own.queue.getCompletedCount(),
      });
      await own.close();
      return told;
    },
  },
};
