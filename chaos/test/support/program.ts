/** Short campaigns with a short lock: what was built is run as by `npm run chaos`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { quickly } from '../../../test/support/quick-packages.js';
import type { CampaignReport } from '../../src/campaign.js';
import type { StoreName } from '../../src/campaign-store.js';
import type { ScenarioName } from '../../src/scenarios.js';

const built = fileURLToPath(new URL('../../dist', import.meta.url));
const SHORT = ['--seed', '7', '--workers', '3', '--lock-ms', '2000', '--haste', '4', '--json'];

/** For a campaign on a machine that has other work. */
export const PATIENCE_MS = 600_000;

/** A campaign of a scenario in which each of the faults strikes and nothing is lost. */
export async function nothingIsLost(
  scenario: ScenarioName,
  workflows: number,
  faults: readonly string[],
  store: StoreName = 'redis',
  more: readonly string[] = [],
): Promise<void> {
  const { code, report } = await campaign(scenario, workflows, store, more);
  expect(report.violations).toEqual([]);
  expect(report.workflows).toBe(workflows);
  const struck = report.strikes.filter(({ count }) => count > 0).map(({ name }) => name);
  expect(struck).toEqual(expect.arrayContaining([...faults]));
  expect(code).toBe(0);
}

async function campaign(
  scenario: ScenarioName,
  workflows: number,
  store: StoreName,
  more: readonly string[],
): Promise<{ code: number | null; report: CampaignReport }> {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-chaos-test-'));
  const which = ['--store', store, '--scenario', scenario, '--workflows', `${workflows}`, '--folder', folder];
  const program = join(quickly(built), 'chaos/src/main.js');
  const child = spawn(process.execPath, [program, ...which, ...SHORT, ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await exited) as [number | null];
  if (!out.startsWith('[')) throw new Error(`the campaign broke off: ${errors}`);
  const [report] = JSON.parse(out) as [CampaignReport];
  if (code === 0) rmSync(folder, { recursive: true, force: true }); // else it tells what happened
  return { code, report };
}
