/** A store that answers and takes no writes, for 0.5 to 3 times the lock. */
import { Redis } from 'ioredis';
import type { SingleStore } from '../redis/server.js';
import { type Fault, pause } from './fault.js';

/** Its memory is full: a real `maxmemory`, below what it holds. */
export function fillMemory(store: SingleStore, everyMs: Fault['everyMs']): Fault {
  return refuseWrites('full-memory', store, everyMs, 'maxmemory', { refusing: '1mb', taking: '0' });
}

/** It has fewer replicas than it is to have: none. */
export function demandReplicas(store: SingleStore, everyMs: Fault['everyMs']): Fault {
  return refuseWrites('too-few-replicas', store, everyMs, 'min-replicas-to-write', {
    refusing: '1',
    taking: '0',
  });
}

function refuseWrites(
  name: string,
  store: SingleStore,
  everyMs: Fault['everyMs'],
  setting: string,
  { refusing, taking }: { refusing: string; taking: string },
): Fault {
  return {
    name,
    everyMs,
    async strike({ history, lockMs }, random, signal) {
      const forMs = random.between(0.5, 3) * lockMs;
      const client = new Redis(store.connection.url, { maxRetriesPerRequest: null });
      client.on('error', () => {}); // it is tried again
      const since = Date.now();
      try {
        await client.config('SET', setting, refusing);
        await pause(forMs, signal);
        await client.config('SET', setting, taking);
      } finally {
        client.disconnect();
      }
      history.note({ event: 'fault', fault: name, target: 'store', since, runsAgain: false });
      return true;
    },
  };
}
