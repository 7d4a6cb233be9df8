import type { Fault } from './fault.js';

/** `kill -9` of a worker; another one is started in its place. */
export function killWorker(everyMs: Fault['everyMs']): Fault {
  return {
    name: 'kill-worker',
    everyMs,
    async strike({ pool, history }, random) {
      const killed = await pool.kill(random.below(pool.size));
      if (killed === undefined) return false;
      history.note({
        event: 'fault',
        fault: 'kill-worker',
        target: { pid: killed.pid },
        since: killed.since,
      });
      return true;
    },
  };
}
