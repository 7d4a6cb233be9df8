import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { project } from '../support/project.js';

describe('umbel dev', { timeout: 300_000 }, () => {
  test('keeps jobs in a folder across restarts, which other commands may use only meanwhile', async () => {
    const { start, umbel, folder } = project();
    const store = ['-b', 'pglite:./data'];
    const { code, stdout: id } = await umbel([
      'call',
      'add',
      '-i',
      '{"a":1,"b":2}',
      '-A',
      './tasks.mjs',
      ...store,
    ]);
    expect(code).toBe(0);
    const dev = start(['dev', './tasks.mjs', ...store], { input: 'add {"a":3,"b":4}\n' });
    await dev.prints(/result +[0-9A-Za-z]{21} +\{"sum":7\}/);
    expect(dev.stderr()).toMatch(/store +pglite:.*\/data\n +worker +dev/);
    const refused = await umbel(['status', '-A', './tasks.mjs', ...store]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('The store cannot be used.');
    expect(refused.stderr).toContain(
      `data" is in use by process ${dev.child.pid}: a PGlite database takes one`,
    );
    dev.child.kill('SIGINT');
    expect((await dev.ended).code).toBe(0);
    expect(readdirSync(join(folder, 'data')).filter((file) => file.startsWith('umbel'))).toEqual([]);
    const result = await umbel(['result', id.trim(), '-A', './tasks.mjs', ...store]);
    expect(result).toMatchObject({ code: 0, stdout: expect.stringContaining('{"sum":3}') });
    const doctor = await umbel(['doctor', '-A', './tasks.mjs', ...store]);
    expect(doctor.stdout).toMatch(/✓ PGlite with PostgreSQL \d+/);
    expect(doctor.stdout).toContain('! PGlite does not wait for the disk');
  });
});
