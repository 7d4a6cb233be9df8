// A system that runs on Node, for one row: `node run/child.mjs <row> <system> [url of its Redis] [url by which the
// system reaches it]`. Reads requests as lines of JSON and answers each with what was measured.
import { createInterface } from 'node:readline';

const [, , rowName, system, url, reachedBy = url] = process.argv;
const { row } = await import(`../rows/${rowName}.mjs`);
const adapter =
  row.usesAdapters === false ? undefined : await import(`../systems/${row.adapter ?? system}.mjs`);
// Loaded only where a Redis is measured: what is loaded here is part of what a row at rest measures.
const meter = row.needsMeter === false ? undefined : new (await import('./meter.mjs')).Meter(url);

for await (const line of createInterface(process.stdin)) {
  let answer;
  try {
    const request = JSON.parse(line);
    const told = await row.systems[system]({
      adapter,
      url: reachedBy,
      meter,
      phase: meter?.phase.bind(meter),
      ...request,
    });
    answer = told ?? meter.take();
  } catch (error) {
    answer = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
