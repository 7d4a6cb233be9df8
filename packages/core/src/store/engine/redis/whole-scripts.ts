/**
 * This guard makes BullMQ's scripts run as a whole or not at all, also when the memory of the store is full.
 *
 * W6: a full Redis starts a script and rejects its first command that needs memory. Earlier commands of the script stay in
 * effect: a job that was removed from one list is added to no other and is lost. A script that declares its flags is
 * rejected before it starts.
 * @see https://redis.io/docs/latest/develop/interact/programmability/eval-intro/#eval-flags
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';

// BullMQ's scripts in ioredis. Scripts of other clients are unknown.

interface Script {
  readonly lua: string;
  readonly numberOfKeys: number;
}

/**
 * Redefines the backend's scripts, each with the text that `change` returns; undefined leaves a script unchanged. The next
 * use of a redefined script sends its text.
 */
export async function redefineScripts(
  backend: IQueueBackend,
  change: (name: string, lua: string) => string | undefined = (_, lua) => lua,
): Promise<void> {
  if (!(backend instanceof RedisQueueBackend)) return;
  const client = await backend.connection.client;
  for (const [name, { lua, numberOfKeys }] of scriptsOf(client)) {
    const changed = change(name, lua);
    if (changed !== undefined) client.defineCommand(name, { numberOfKeys, lua: changed });
  }
}

/** Returns the scripts of a client with their names. */
export function scriptsOf(client: object): [name: string, Script][] {
  const scripts = 'scriptsSet' in client ? (client.scriptsSet as Record<string, Script>) : {}; // ioredis stores them here
  return Object.entries(scripts);
}

/** Names of scripts that move jobs. Others only read or free memory. */
const MOVING = /^(add|change|move|promote|releaseParent|reprocess|retry|update)/;

const FLAGS = '#!lua flags=allow-cross-slot-keys\n';

/** Redis 7.0 and Valkey support flags. */
const FIRST_VERSION = 7;

/**
 * Adds flags to the scripts of a backend. Call it once the backend is connected, and again after an outage. Does nothing
 * for clients other than ioredis, BullMQ's default.
 */
export async function runsWholeScripts(backend: IQueueBackend): Promise<void> {
  if (!(backend instanceof RedisQueueBackend)) return;
  const { connection } = backend;
  await connection.client; // then the version of the store is known
  const isKnown =
    connection.databaseType !== 'dragonfly' && Number.parseInt(connection.redisVersion, 10) >= FIRST_VERSION;
  if (!isKnown) return;
  await redefineScripts(backend, (name, lua) =>
    MOVING.test(name) && !lua.startsWith(FLAGS) ? withFlags(lua) : undefined,
  );
}

/** Texts with flags by texts without: every connection has the same ones. */
const flagged = new Map<string, string>();

function withFlags(lua: string): string {
  let text = flagged.get(lua);
  if (text === undefined) {
    text = `${FLAGS}${lua}`;
    flagged.set(lua, text);
  }
  return text;
}
