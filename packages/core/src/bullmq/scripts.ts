/** BullMQ's scripts, as ioredis holds them. Of other clients nothing is known. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';

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
