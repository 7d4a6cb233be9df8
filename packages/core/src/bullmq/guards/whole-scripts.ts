/**
 * BullMQ's scripts run as a whole or not at all, also when the memory of the store is full.
 *
 * W6: a Redis that is full lets a script begin, and refuses the first of its commands that needs memory. What the script
 * has done by then stays: a job that was taken off one list is put on no other, and is lost. A script that declares its
 * flags is refused before it begins.
 * @see https://redis.io/docs/latest/develop/interact/programmability/eval-intro/#eval-flags
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { redefineScripts } from '../scripts.js';

/** Those that move jobs. Others only read, or free memory. */
const MOVING = /^(add|change|move|promote|releaseParent|reprocess|retry|update)/;

const FLAGS = '#!lua flags=allow-cross-slot-keys\n';

/** Redis 7.0 and Valkey know flags. */
const FIRST_VERSION = 7;

/**
 * To be called once the backend is connected, and again when it has been away. Does nothing for other clients than
 * ioredis, BullMQ's usual one.
 */
export async function runsWholeScripts(backend: IQueueBackend): Promise<void> {
  if (!(backend instanceof RedisQueueBackend)) return;
  const { connection } = backend;
  await connection.client; // then the store is known
  const isKnown =
    connection.databaseType !== 'dragonfly' && Number.parseInt(connection.redisVersion, 10) >= FIRST_VERSION;
  if (!isKnown) return;
  await redefineScripts(backend, (name, lua) =>
    MOVING.test(name) && !lua.startsWith(FLAGS) ? `${FLAGS}${lua}` : undefined,
  );
}
