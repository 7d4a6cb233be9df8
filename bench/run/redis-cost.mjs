// What a Redis has done and holds, for rows that count and do not time.

/** Scripts that clients have called; what these call themselves is not counted. */
export async function scriptsOf(redis) {
  const info = await redis.info('commandstats');
  const calls = [...info.matchAll(/^cmdstat_(?:evalsha|eval):calls=(\d+)/gm)];
  return calls.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Bytes that Redis uses, without events and the buffers of connections. */
export async function bytesOf(redis) {
  const info = await redis.info('memory');
  const field = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
  let events = 0;
  for (const key of await redis.keys('*:events')) events += await redis.memory('USAGE', key, 'SAMPLES', 0);
  return field('used_memory') - field('mem_clients_normal') - events;
}
