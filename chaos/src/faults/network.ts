/** What happens between a worker and the store, by a proxy. */
import type { StoreName } from '../campaign-store.js';
import type { HistoryEvent } from '../history.js';
import type { Mischief, StoreProxy } from '../proxy.js';
import { type Fault, pause } from './fault.js';

/** Errors of a server that starts, fails over, is full, cannot save, or is busy with somebody else. */
const REFUSALS: Readonly<Record<StoreName, readonly [string, ...string[]]>> = {
  redis: [
    'LOADING Redis is loading the dataset in memory',
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    'CLUSTERDOWN The cluster is down',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'NOREPLICAS Not enough good replicas to write.',
  ],
  postgres: [
    '57014 canceling statement due to statement timeout',
    '55P03 canceling statement due to lock timeout',
    '40P01 deadlock detected',
    '40001 could not serialize access due to concurrent update',
    '25006 cannot execute UPDATE in a read-only transaction',
    '53100 could not extend file: No space left on device',
    '53200 out of memory',
  ],
};

/** How long a fault waits for a request that it can strike at. */
const PATIENCE_MS = 5000;

/** The connection of one request breaks, before it has arrived or after. */
export function cutConnection(
  proxy: StoreProxy,
  kind: 'cut-before' | 'cut-after',
  everyMs: Fault['everyMs'],
): Fault {
  return {
    name: kind,
    everyMs,
    async strike({ history }, random, signal) {
      let passing = random.below(30);
      const since = Date.now();
      const command = await new Promise<string | undefined>((resolve) => {
        const stop = proxy.meddle((name) => {
          passing -= 1;
          if (passing >= 0) return undefined;
          stop();
          resolve(name);
          return { kind };
        });
        void pause(PATIENCE_MS, signal).then(() => resolve(undefined));
      });
      if (command === undefined) return false;
      history.note({ event: 'fault', fault: kind, target: 'store', since, detail: command });
      return true;
    },
  };
}

/** For a while, some replies are late. */
export function slowReplies(proxy: StoreProxy, everyMs: Fault['everyMs']): Fault {
  return during('slow', proxy, everyMs, (random) => ({ kind: 'slow', ms: random.between(50, 1000) }));
}

/** For a while, some requests are refused with an error that passes. */
export function refusals(proxy: StoreProxy, store: StoreName, everyMs: Fault['everyMs']): Fault {
  return during('refuse', proxy, everyMs, (random) => ({
    kind: 'refuse',
    message: random.pick(REFUSALS[store]),
  }));
}

function during(
  name: string,
  proxy: StoreProxy,
  everyMs: Fault['everyMs'],
  choose: (random: Parameters<Fault['strike']>[1]) => Mischief,
): Fault {
  return {
    name,
    everyMs,
    async strike({ history }, random, signal) {
      const mischief = choose(random);
      const forMs = random.between(200, 2500);
      const share = random.between(0.05, 0.6);
      const which = random.for(`requests ${random.next()}`);
      const since = Date.now();
      const struck = new Map<string, number>();
      const stop = proxy.meddle((command) => {
        if (which.next() > share) return undefined;
        struck.set(command, (struck.get(command) ?? 0) + 1);
        return mischief;
      });
      await pause(forMs, signal);
      // Workers that have been refused before ask less often.
      while (struck.size === 0 && Date.now() < since + PATIENCE_MS && !signal.aborted)
        await pause(50, signal);
      stop();
      if (struck.size === 0) return false;
      const commands = [...struck].map(([command, count]) => `${count} ${command}`).join(', ');
      const detail = `${mischief.kind === 'refuse' ? `${mischief.message.split(' ')[0]}: ` : ''}${commands}`;
      const event: HistoryEvent = { event: 'fault', fault: name, target: 'store', since, detail };
      history.note(event);
      return true;
    },
  };
}
