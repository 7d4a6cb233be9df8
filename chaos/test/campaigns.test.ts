/** A short campaign of each kind, with a short lock: what was built is run as by `npm run chaos`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { CampaignReport } from '../src/campaign.js';

const program = fileURLToPath(new URL('../dist/chaos/src/main.js', import.meta.url));
const SHORT = ['--workers', '3', '--lock-ms', '2000', '--haste', '4', '--json'];

/** Runs the program; gives its exit code and its reports. */
async function chaos(...args: string[]): Promise<{ code: number | null; reports: CampaignReport[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-chaos-test-'));
  const child = spawn(process.execPath, [program, ...args, ...SHORT, '--folder', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exited;
  if (!out.startsWith('[')) throw new Error(`the campaign broke off: ${errors}`);
  const reports = JSON.parse(out) as CampaignReport[];
  if (code === 0) rmSync(folder, { recursive: true, force: true });
  return { code, reports };
}

describe('a short campaign', () => {
  test.concurrent.each([
    ['kills', 80, ['kill-worker', 'kill-redis']],
    ['redis', 50, ['kill-redis', 'kill-worker', 'freeze-redis', 'freeze-worker']],
    ['network', 60, ['refuse', 'cut-before', 'cut-after', 'slow', 'kill-worker']],
    ['poison', 60, ['kill-worker', 'poison-death']],
    ['submit', 60, ['kill-producer', 'send-duplicates', 'kill-worker', 'kill-redis']],
  ])(
    'of %s loses nothing',
    async (scenario, workflows, faults) => {
      const { code, reports } = await chaos(
        '--scenario',
        scenario,
        '--workflows',
        `${workflows}`,
        '--seed',
        '7',
      );
      const [report] = reports;
      expect(report?.violations).toEqual([]);
      expect(report?.workflows).toBe(workflows);
      for (const fault of faults) {
        const strikes = report?.strikes.find(({ name }) => name === fault);
        expect(strikes?.count, fault).toBeGreaterThan(0);
      }
      expect(code).toBe(0);
    },
    180_000,
  );
});
