/** What commands cost a Redis server. */
import type { Redis } from 'ioredis';

interface RedisUse {
  /** Number of scripts that clients have run. */
  readonly scripts: number;
  /** Processor time of the thread that runs commands, in ms: unlike the slow log, it has no pauses of a busy machine. */
  readonly cpuMs: number;
}

/** What a server has done since its start. */
async function redisUse(redis: Redis): Promise<RedisUse> {
  const [stats, cpu] = [await redis.info('commandstats'), await redis.info('cpu')];
  const calls = [...stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm)].map(([, count]) => Number(count));
  const seconds = (field: string) => Number(new RegExp(`${field}_main_thread:([\\d.]+)`).exec(cpu)?.[1]);
  return {
    scripts: calls.reduce((sum, count) => sum + count, 0),
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
