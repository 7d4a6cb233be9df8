import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from './fault.js';

/** How long is waited for a producer that is sending: then it is killed at rest. More may be sent only after that. */
const PATIENCE_MS = 3000;

/** `kill -9` of a producer while it is sending. */
export function killProducer(everyMs: Fault['everyMs']): Fault {
  return {
    name: 'kill-producer',
    everyMs,
    async strike({ producers, history }, random, signal) {
      if (producers === undefined) return false;
      const slot = random.below(producers.size);
      const afterMs = random.below(10);
      const deadline = Date.now() + PATIENCE_MS;
      let killed: Awaited<ReturnType<typeof producers.kill>>;
      while (killed === undefined) {
        while (!producers.isSending(slot)) {
          if (signal.aborted) return false;
          if (Date.now() > deadline) break;
          await sleep(1);
        }
        await sleep(afterMs);
        killed = await producers.kill(slot, Date.now() > deadline); // if it is still at it
      }
      const { pid, since, sending } = killed;
      const detail = `${sending} sendings`;
      history.note({ event: 'fault', fault: 'kill-producer', target: { pid }, since, detail });
      return true;
    },
  };
}
