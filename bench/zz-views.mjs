import { chain, group } from '@umbel/canvas';
import { startRedis } from './run/redis-server.mjs';
import { open } from './systems/umbel.mjs';
const redis = await startRedis({ durable: false });
const own = open(redis.url);
await own.start();
for (const size of (process.argv[2] ?? '500,1000,2000').split(',').map(Number)) {
  const [first, ...rest] = Array.from({ length: size }, () => own.increment);
  const flow = chain(first.s({ n: 0 }), ...rest);
  let t = performance.now();
  const g = flow.graph(); console.log('planned', size, Math.round(performance.now() - t));
  t = performance.now(); flow.toJSON && JSON.stringify(flow.toJSON()); 
  const run = await flow.delay();
  await run.outcome({ timeout: '2m' });
  console.log('ran', size, Math.round(performance.now() - t));
  for (const [name, view] of [['counts', () => run.counts()], ['graph', () => run.graph()], ['mermaid', async () => (await run.graph()).toMermaid()], ['collect', async () => { let n = 0; for await (const _ of run.collect()) n++; if (n !== size) throw new Error('only ' + n); }]]) {
    const cpu0 = process.cpuUsage();
    t = performance.now();
    try { await view(); } catch (e) { console.log(name, 'FAILED', e.message.slice(0, 80)); continue; }
    const cpu = process.cpuUsage(cpu0);
    console.log(name, size, Math.round(performance.now() - t), 'ms', Math.round((cpu.user + cpu.system) / 1000), 'cpu');
  }
}
await own.close(); await redis.stop();
