/**
 * The scripts by which Redis has what Umbel needs of a store and BullMQ's contract has no command for. Each file beside this
 * one holds one such need: its interface, which a backend that is no Redis may implement, and its scripts. Without them
 * Umbel works too, and loses what the comments say.
 */
import type { RedisQueueBackend } from 'bullmq';

export interface Script {
  /** Of the command, as which a client has it: one name has one text. */
  readonly name: string;
  readonly numberOfKeys: number;
  readonly lua: string;
}

/** The names of the scripts that each client knows. */
const defined = new WeakMap<object, Set<string>>();

/** Runs a script in one round trip: the store is sent its text only if it does not have it yet. */
export async function runScript(
  backend: RedisQueueBackend,
  script: Script,
  args: (string | number)[],
): Promise<unknown> {
  const client = await backend.connection.client;
  let names = defined.get(client);
  if (names === undefined) {
    names = new Set();
    defined.set(client, names);
  }
  if (!names.has(script.name)) {
    names.add(script.name);
    client.defineCommand(script.name, script);
  }
  return client.runCommand(script.name, args);
}
