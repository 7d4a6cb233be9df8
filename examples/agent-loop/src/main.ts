import { agent, app, ask } from './agent.js';

await app.worker().start();
for (const question of [
  'How much longer is the Aare than the Reuss?',
  'How much longer is the Nile than the Reuss?',
]) {
  const run = await agent.delay(ask(question));
  const { value, stopped } = await run.get({ timeout: '30s' });
  console.log(`${stopped}: ${value.facts.at(-1)}`);
}
await app.close();
