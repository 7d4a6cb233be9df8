import { setTimeout as sleep } from 'node:timers/promises';
import type { SingleStore } from '../redis/server.js';
import type { Fault } from './fault.js';

/** `kill -9` of Redis; it starts again from its append-only file. */
export function killRedis(store: SingleStore, everyMs: Fault['everyMs']): Fault {
  return {
    name: 'kill-redis',
    everyMs,
    async strike({ history }, random) {
      const awayMs = random.between(0, 1000);
      const since = Date.now();
      await store.server.kill();
      await sleep(awayMs);
      await store.server.restart();
      await store.ready();
      history.note({ event: 'fault', fault: 'kill-redis', target: 'store', since });
      return true;
    },
  };
}
