/** `npm run chaos -- --workflows 5000 --seed 7`: runs campaigns, and says what they have found. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type CampaignReport, runCampaign } from './campaign.js';
import { STORES, type StoreName } from './campaign-store.js';
import { tableOf } from './report.js';
import { isOn, SCENARIOS, type ScenarioName } from './scenarios.js';

// Servers and workers are ended with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'redis' },
    scenario: { type: 'string', default: 'kills' },
    workflows: { type: 'string' },
    hours: { type: 'string' },
    seed: { type: 'string' },
    workers: { type: 'string', default: '4' },
    'lock-ms': { type: 'string' },
    haste: { type: 'string', default: '1' },
    folder: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const store = values.store as StoreName;
if (!STORES.includes(store)) throw new RangeError(`no store "${store}"; there are ${STORES.join(', ')}`);
const names = (Object.keys(SCENARIOS) as ScenarioName[]).filter((name) => isOn(name, store));
const chosen = values.scenario === 'all' ? names : (values.scenario.split(',') as ScenarioName[]);
for (const name of chosen) {
  if (!names.includes(name))
    throw new RangeError(`no scenario "${name}" on ${store}; there are ${names.join(', ')}, all`);
}
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'umbel-chaos-'));
const tell = (line: string) => console.error(line);
tell(`seed ${seed}, history in ${folder}`);

const hours = values.hours === undefined ? undefined : Number(values.hours);
const workflows = values.workflows ?? (hours === undefined ? '500' : 'Infinity');
const reports: CampaignReport[] = [];
for (const scenario of chosen) {
  const report = await runCampaign({
    store,
    scenario,
    seed,
    workflows: Number(workflows),
    forMs: ((hours ?? 24) * 3_600_000) / chosen.length,
    workers: Number(values.workers),
    lockMs: values['lock-ms'] === undefined ? undefined : Number(values['lock-ms']),
    haste: Number(values.haste),
    folder,
    report: tell,
  });
  reports.push(report);
}
console.log(values.json ? JSON.stringify(reports, undefined, 2) : tableOf(reports));
process.exitCode = reports.some(({ violations }) => violations.length > 0) ? 1 : 0;
