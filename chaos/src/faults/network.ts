/** What happens between a worker and Redis, by a proxy. */
import type { HistoryEvent } from '../history.js';
import type { Mischief, RedisProxy } from '../redis/proxy.js';
import { type Fault, pause } from './fault.js';

/** Errors of a server that starts, fails over, is full, cannot save, or runs a script of somebody else. */
const REFUSALS = [
  'LOADING Redis is loading the dataset in memory',
  "READONLY You can't write against a read only replica.",
  "OOM command not allowed when used memory > 'maxmemory'.",
  'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
  'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  'CLUSTERDOWN The cluster is down',
  'TRYAGAIN Multiple keys request during rehashing of slot',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'NOREPLICAS Not enough good replicas to write.',
] as const;

/** How long a fault waits for a request that it can strike at. */
const PATIENCE_MS = 5000;

/** The connection of one request breaks, before it has arrived or after. */
export function cutConnection(
  proxy: RedisProxy,
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
export function slowReplies(proxy: RedisProxy, everyMs: Fault['everyMs']): Fault {
  return during('slow', proxy, everyMs, (random) => ({ kind: 'slow', ms: random.between(50, 1000) }));
}

/** For a while, some requests are refused with an error that passes. */
export function refusals(proxy: RedisProxy, everyMs: Fault['everyMs']): Fault {
  return during('refuse', proxy, everyMs, (random) => ({ kind: 'refuse', message: random.pick(REFUSALS) }));
}

function during(
  name: string,
  proxy: RedisProxy,
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
