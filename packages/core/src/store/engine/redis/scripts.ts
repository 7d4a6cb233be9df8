/** This module runs the Lua scripts of commands that BullMQ's contract lacks; `../../primitives/` defines the commands. */
import type { RedisQueueBackend } from 'bullmq';

export interface Script {
  /** Name of the command on the client; each name has one text. */
  readonly name: string;
  readonly numberOfKeys: number;
  readonly lua: string;
}

/** A Lua function that returns the fields of a hash. ACL rules for earlier versions of Umbel do not grant HKEYS. */
export const NAMES_OF_FIELDS = `local function namesOfFields(key)
  local fields = redis.pcall('HKEYS', key)
  if not fields.err then return fields end
  local all = redis.call('HGETALL', key)
  fields = {}
  for i = 1, #all, 2 do fields[#fields + 1] = all[i] end
  return fields
end`;

/** Returns the pairs of a flat list, such as the fields of a hash with their values. */
export function pairsOf(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at] ?? '', flat[2 * at + 1] ?? '']);
}

/** Names of the scripts that each client has defined. */
const defined = new WeakMap<object, Set<string>>();

/** Runs a script in one round trip. The text is sent only if the store does not have it yet. */
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
