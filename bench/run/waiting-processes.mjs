// Processes that wait, and one that works, for the rows that measure waits.
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { summary } from './statistics.mjs';

const PROGRAM = fileURLToPath(new URL('./waiting-program.mjs', import.meta.url));

/** A process of a system, which is asked for one thing after the other. */
function program(system, url, name) {
  const child = fork(PROGRAM, [system, url, name], { execArgv: ['--expose-gc'] });
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  return {
    async ask(request) {
      child.send(request);
      const [answer] = await once(child, 'message');
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    },
    async stop() {
      process.off('exit', end);
      const exited = once(child, 'exit');
      end();
      await exited;
    },
  };
}

/** What `run` gives of a process that waits and one that works, on a queue of their own. */
export async function withProcesses(system, url, run) {
  const name = `waits-${randomUUID().slice(0, 8)}`;
  const [caller, worker] = [program(system, url, name), program(system, url, name)];
  try {
    return await run(caller, worker);
  } finally {
    await Promise.all([caller.stop(), worker.stop()]);
  }
}

/** The median of each figure, by system, of rounds in turn. */
export async function inTurn(rounds, measure) {
  const figures = { umbel: [], bullmq: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const system of Object.keys(figures)) figures[system].push(await measure(system));
  }
  const medians = (list) =>
    Object.fromEntries(
      Object.keys(list[0]).map((name) => [name, summary(list.map((each) => each[name])).median]),
    );
  return Object.fromEntries(Object.entries(figures).map(([system, list]) => [system, medians(list)]));
}
