import { type Fault, pause } from './fault.js';

/** `SIGSTOP` of a worker for 0.5 to 2 times the lock: as if its event loop were blocked. */
export function freezeWorker(everyMs: Fault['everyMs']): Fault {
  return {
    name: 'freeze-worker',
    everyMs,
    async strike({ pool, history, lockMs }, random, signal) {
      const since = Date.now();
      const frozen = pool.freeze(random.below(pool.size));
      const forMs = random.between(0.5, 2) * lockMs;
      if (frozen === undefined) return false;
      await pause(forMs, signal);
      frozen.thaw();
      history.note({ event: 'fault', fault: 'freeze-worker', target: { pid: frozen.pid }, since });
      return true;
    },
  };
}
