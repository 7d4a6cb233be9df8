// What the types cost the compiler: `types.mjs`, which has limits of its own.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const LIMIT_MS = 600_000;

export const row = {
  title: 'type checking',
  measure() {
    const script = fileURLToPath(new URL('../types.mjs', import.meta.url));
    const { stdout, status } = spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: LIMIT_MS });
    return { lines: stdout.trimEnd().split('\n'), isWithinLimits: status === 0 };
  },
  lines: ({ lines, isWithinLimits }) => [...lines, isWithinLimits ? 'within all limits' : 'OVER a limit'],
};
