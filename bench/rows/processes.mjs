// No-op tasks that wait already, run by a worker program of its own: Umbel's with a process for each core, BullMQ's with
// the one that it has. Timed from the first that has ended to the last, as the queue tells them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../run/worker-program.mjs', import.meta.url));
const POLL_MS = 5;

async function ran({ system, url, name, size, counts }) {
  const worker = spawn(process.execPath, [PROGRAM, system, url, name], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  try {
    let first = 0;
    while (first === 0) first = await counts();
    const startedAt = performance.now();
    let last = first;
    while (last < size) {
      last = await counts();
      if (worker.exitCode !== null) throw new Error('the worker has ended');
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return { phases: {}, facts: { 'µs a task': ((performance.now() - startedAt) * 1000) / (last - first) } };
  } finally {
    const exited = once(worker, 'exit');
    worker.kill();
    await exited;
  }
}

export const row = {
  title: "no-op tasks by a worker with processes: 'auto', beside one BullMQ worker process",
  size: { full: 20_000, quick: 4_000 },
  targets: [{ fact: 'µs a task', against: 'bullmq', most: 1 / 1.2 }],
  systems: {
    async umbel({ adapter, url, size }) {
      const own = adapter.open(url);
      await own.noop.sendMany(Array.from({ length: size }, () => ({ a: 1 })));
      const queue = own.app.queue('default');
      const counts = async () => (await queue.counts()).completed;
      const told = await ran({ system: 'umbel', url, name: own.app.name, size, counts });
      await own.close();
      return told;
    },
    async bullmq({ adapter, url, size }) {
      const own = adapter.open(url);
      await own.queue.addBulk(Array.from({ length: size }, () => ({ name: 'noop', data: { a: 1 } })));
      const told = await ran({
        ...{ system: 'bullmq', url, name: own.name, size },
        counts: () => own.queue.getCompletedCount(),
      });
      await own.close();
      return told;
    },
  },
};
