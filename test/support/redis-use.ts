/** What commands cost a Redis server. */
import type { Redis } from 'ioredis';

interface RedisUse {
  /** Number of scripts that clients have run. */
  readonly scripts: number;
  /** Processor time of the thread that runs commands, in ms: unlike the slow log, it has no pauses of a busy machine. */
  readonly cpuMs: number;
}

/**
 * How often a server has run each command since its start, or since `CONFIG RESETSTAT`; those within scripts count too. A
 * subcommand has a name of its own, such as `client|list`.
 */
export async function callsByCommand(redis: Redis): Promise<ReadonlyMap<string, number>> {
  const lines = (await redis.info('commandstats')).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
  return new Map([...lines].map(([, name = '', calls]) => [name, Number(calls)]));
}

/** How often a server has run some commands. */
export async function callsOf(redis: Redis, ...commands: string[]): Promise<number> {
  const calls = await callsByCommand(redis);
  return commands.reduce((sum, command) => sum + (calls.get(command) ?? 0), 0);
}

/** How many commands a server has run, except those that look at the server itself. */
export async function allCalls(redis: Redis): Promise<number> {
  const calls = [...(await callsByCommand(redis))].filter(
    ([name]) => !/^(info|client|config|ping)(\||$)/.test(name),
  );
  return calls.reduce((sum, [, count]) => sum + count, 0);
}

/** What a server has done since its start. */
async function redisUse(redis: Redis): Promise<RedisUse> {
  const cpu = await redis.info('cpu');
  const seconds = (field: string) => Number(new RegExp(`${field}_main_thread:([\\d.]+)`).exec(cpu)?.[1]);
  return {
    scripts: await callsOf(redis, 'eval', 'evalsha'),
    cpuMs: 1000 * (seconds('used_cpu_user') + seconds('used_cpu_sys')),
  };
}

/** The number of scripts that `action` runs, and the mean of their processor time, in ms. */
export async function scriptsOf(
  redis: Redis,
  action: () => Promise<unknown>,
): Promise<{ count: number; meanMs: number }> {
  const before = await redisUse(redis);
  await action();
  const after = await redisUse(redis);
  const count = after.scripts - before.scripts;
  return { count, meanMs: (after.cpuMs - before.cpuMs) / count };
}
