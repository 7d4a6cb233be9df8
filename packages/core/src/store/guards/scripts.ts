/**
 * BullMQ's scripts run as a whole or not at all, also when the memory of the store is full.
 *
 * W6: a Redis that is full lets a script begin, and refuses the first of its commands that needs memory. What the script
 * has done by then stays: a job that was taken off one list is put on no other, and is lost. A script that declares its
 * flags is refused before it begins.
 * @see https://redis.io/docs/latest/develop/interact/programmability/eval-intro/#eval-flags
 */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import { SLICE } from '../../job/job-tree.js';

// BullMQ's scripts, as ioredis holds them. Of other clients nothing is known.

interface Script {
  readonly lua: string;
  readonly numberOfKeys: number;
}

/**
 * Defines the backend's scripts anew, each as `change` gives it, or leaves it for undefined: the next time one is used,
 * it is sent with its text.
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

/** The scripts that a client knows, by name. */
export function scriptsOf(client: object): [name: string, Script][] {
  const scripts = 'scriptsSet' in client ? (client.scriptsSet as Record<string, Script>) : {}; // where ioredis keeps them
  return Object.entries(scripts);
}

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

// A transaction blocks Redis as long as it runs, some 50 µs a job. Of a flow with many jobs that wait for others, such as
// a long chain, those are stored in slices before the rest: nothing of it starts until then, and nothing of it is
// complete. What comes of a sender that ends in between is found by `adding.ts` and `repair.ts`.

export function slicesFlows(backend: IQueueBackend): void {
  const addFlow = backend.addFlow.bind(backend);
  backend.addFlow = async (entries) => {
    const waiting = entries.filter(({ parentKeyOpts }) => parentKeyOpts.addToWaitingChildren === true);
    if (waiting.length <= SLICE) return addFlow(entries);
    // BullMQ lists every job after its parent, and so does each part of the list.
    const first = waiting.slice(0, Math.floor((waiting.length - 1) / SLICE) * SLICE);
    const stored = new Map<unknown, Awaited<ReturnType<typeof addFlow>>[number]>();
    const add = async (slice: typeof entries) => {
      const answers = await addFlow(slice);
      for (const [index, entry] of slice.entries()) stored.set(entry, answers[index] ?? [null, entry.jobId]);
    };
    for (let start = 0; start < first.length; start += SLICE) await add(first.slice(start, start + SLICE));
    await add(entries.filter((entry) => !stored.has(entry)));
    return entries.map((entry) => stored.get(entry) ?? [null, entry.jobId]);
  };
}
