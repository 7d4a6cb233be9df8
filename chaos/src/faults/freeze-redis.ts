import type { SingleStore } from '../redis/server.js';
import { type Fault, pause } from './fault.js';

/** `SIGSTOP` of Redis for 0.5 to 2 times the lock, with its connections open. */
export function freezeRedis(store: SingleStore, everyMs: Fault['everyMs']): Fault {
  return {
    name: 'freeze-redis',
    everyMs,
    async strike({ history, lockMs }, random, signal) {
      const since = Date.now();
      const forMs = random.between(0.5, 2) * lockMs;
      store.server.freeze();
      await pause(forMs, signal);
      store.server.thaw();
      await store.ready();
      history.note({ event: 'fault', fault: 'freeze-redis', target: 'store', since });
      return true;
    },
  };
}
