// How long commands of Redis took, as its slow log has it. A busy machine makes Redis itself wait in the middle of any command.
const FROM_US = 1000;
const MOST = 10_000;

/** Runs it, and tells how long the longest command took meanwhile, in milliseconds: 0 if none took one. */
export async function longestCommand(client, run) {
  await client.config('SET', 'slowlog-log-slower-than', FROM_US);
  await client.config('SET', 'slowlog-max-len', MOST);
  await client.slowlog('RESET');
  await run();
  const slow = await client.slowlog('GET', MOST);
  return Math.max(0, ...slow.map(([, , us]) => us / 1000));
}
