/** A PostgreSQL that restarts, that ends its sessions, and that takes no writes. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { PostgresStore } from '../postgres/server.js';
import { type Fault, pause } from './fault.js';

/**
 * Restarts the server. A fast shutdown ends each session and writes what is in memory; an immediate one, like a crash, stops all
 * processes, and the next start recovers from the log.
 */
export function restartPostgres(
  store: PostgresStore,
  how: 'fast' | 'immediate',
  everyMs: Fault['everyMs'],
): Fault {
  const name = `restart-${how}`;
  return {
    name,
    everyMs,
    async strike({ history }, random) {
      const awayMs = random.between(0, 1000);
      return store.exclusively(async () => {
        const since = Date.now();
        await (how === 'fast' ? store.server.shutDown() : store.server.kill());
        await sleep(awayMs);
        await store.server.start();
        history.note({ event: 'fault', fault: name, target: 'store', since });
        return true;
      });
    },
  };
}

/** How long a fault waits for sessions that it can end. */
const PATIENCE_MS = 2000;
const LOOK_MS = 10;

/** Ends all sessions of workers and senders, or those that run a statement, whose outcome they then do not know. */
export function cutSessions(store: PostgresStore, everyMs: Fault['everyMs']): Fault {
  return {
    name: 'cut-sessions',
    everyMs,
    async strike({ history }, random, signal) {
      const which = random.below(3) === 0 ? 'all' : 'active';
      const since = Date.now();
      let count = 0;
      while (count === 0 && Date.now() < since + PATIENCE_MS && !signal.aborted) {
        count = await store.exclusively(() => store.cut(which));
        if (count === 0) await pause(LOOK_MS, signal);
      }
      if (count === 0) return false;
      const detail = `${count} sessions, ${which}`;
      history.note({ event: 'fault', fault: 'cut-sessions', target: 'store', since, detail });
      return true;
    },
  };
}

/** The server refuses writes for 0.5 to 3 times the lock, as one that only reads after a failover. */
export function readOnly(store: PostgresStore, everyMs: Fault['everyMs']): Fault {
  return withoutWrites('read-only', store, everyMs, {
    begin: ['ALTER SYSTEM SET default_transaction_read_only = on', 'SELECT pg_reload_conf()'],
    end: ['ALTER SYSTEM RESET default_transaction_read_only', 'SELECT pg_reload_conf()'],
    mayRunAgain: false,
  });
}

/** Writes wait for 0.5 to 3 times the lock, as while an administrator changes the table of jobs. */
export function lockTable(store: PostgresStore, everyMs: Fault['everyMs']): Fault {
  return withoutWrites('locked-table', store, everyMs, {
    begin: ['BEGIN', 'LOCK TABLE umbel.job IN SHARE MODE'],
    end: ['COMMIT'],
    mayRunAgain: true, // renewals of locks wait, too: it is like a server that stands still
  });
}

function withoutWrites(
  name: string,
  store: PostgresStore,
  everyMs: Fault['everyMs'],
  {
    begin,
    end,
    mayRunAgain,
  }: { readonly begin: readonly string[]; readonly end: readonly string[]; readonly mayRunAgain: boolean },
): Fault {
  return {
    name,
    everyMs,
    async strike({ history, lockMs }, random, signal) {
      const forMs = random.between(0.5, 3) * lockMs;
      return store.exclusively(async () => {
        const client = new pg.Client({ connectionString: store.server.url });
        await client.connect();
        const since = Date.now();
        try {
          for (const statement of begin) await client.query(statement);
          await pause(forMs, signal);
          for (const statement of end) await client.query(statement);
        } finally {
          await client.end();
        }
        history.note({
          event: 'fault',
          fault: name,
          target: 'store',
          since,
          ...(!mayRunAgain && { runsAgain: false }),
        });
        return true;
      });
    },
  };
}
