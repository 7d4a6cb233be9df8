// Many callers in one process follow what a job each reports. The worker is a process of its own.
import { startRedis } from '../run/redis-server.mjs';
import { inTurn, withProcesses } from '../run/waiting-processes.mjs';

const CPU_TIMES = 1.5;

export const row = {
  title: 'callers that follow the progress of a job each, ten reports of each job',
  async measure({ quick, say }) {
    const [count, rounds] = quick ? [300, 1] : [1000, 3];
    const server = await startRedis({ durable: false });
    const one = (system) =>
      withProcesses(system, server.url, async (caller, worker) => {
        say(`progress-followers: ${count} of ${system}`);
        await caller.ask({ do: 'wait', count: 10 }); // connects and compiles
        await worker.ask({ do: 'work' });
        await caller.ask({ do: 'end' });
        await worker.ask({ do: 'rest' });
        await caller.ask({ do: 'follow', count });
        await worker.ask({ do: 'work' });
        const { cpuMs, seen } = await caller.ask({ do: 'end' });
        return { cpuMs, seen };
      });
    try {
      return { count, ...(await inTurn(rounds, one)) };
    } finally {
      await server.stop();
    }
  },
  lines: ({ count, ...systems }) =>
    Object.entries(systems).map(
      ([system, { cpuMs, seen }]) =>
        `${count} of ${system}: ${Math.round(cpuMs)} ms of CPU, ${(seen / count).toFixed(1)} reports seen of each job`,
    ),
  judge({ umbel, bullmq }) {
    const reached = umbel.cpuMs / bullmq.cpuMs;
    return [{ what: 'CPU', reached, most: CPU_TIMES, unit: '× BullMQ', met: reached <= CPU_TIMES }];
  },
};
