/** Sends calls, a chain and a chord, runs them in this process, and prints the log and then what was traced. */
import { app, fetchPrice, priceWithTax, refreshPrice, totalWithTax } from './tasks.js';
import { startTelemetry } from './telemetry.js';
import { treeOf } from './tree.js';

const endedSpans = startTelemetry();
const soon = { timeout: '10s' } as const;
try {
  await app.worker().start();
  await (await priceWithTax.delay({ product: 'lamp' })).get(soon);
  await (await fetchPrice.delay({ product: 'boat' })).outcome(soon); // there is no such product: fails for good
  const refreshed = await refreshPrice.delay({ product: 'desk' });
  await app.result(fetchPrice, await refreshed.get(soon)).get(soon);
  await (await totalWithTax.delay()).get(soon);
} finally {
  await app.close();
}
console.log(`\n${treeOf(await endedSpans())}`);
