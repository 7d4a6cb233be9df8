// What a Redis has done and holds, for rows that count and do not time.

/** Scripts that clients have called; what these call themselves is not counted. */
export async function scriptsOf(redis) {
  const info = await redis.info('commandstats');
  const calls = [...info.matchAll(/^cmdstat_(?:evalsha|eval):calls=(\d+)/gm)];
  return calls.reduce((sum, [, count]) => sum + Number(count), 0);
}

/**
 * Bytes of all keys but events, the history of minutes, and marks of checks that time removes. What Redis uses besides, such as
 * garbage of its scripts, comes and goes.
 */
export async function bytesOf(redis) {
  let bytes = 0;
  for await (const keys of redis.scanStream({ count: 1000 })) {
    const others = keys.filter((key) => !/:(events|stalled-check)$|:umbel\.history:/.test(key));
    const sizes = await Promise.all(others.map((key) => redis.memory('USAGE', key, 'SAMPLES', 0)));
    bytes += sizes.reduce((sum, size) => sum + (size ?? 0), 0);
  }
  return bytes;
}
