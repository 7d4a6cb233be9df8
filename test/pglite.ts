/**
 * The folder of the PGlite databases of a test run, with a new one that each process of the run copies. It is made only if the
 * project runs on PGlite.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { runsOn } from './support/engine-names.js';
import { QUICK_WASM } from './support/quick-wasm.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Empty if there is none. */
    pgliteFolder: string;
  }
}

export default async function setup(project: TestProject): Promise<(() => void) | undefined> {
  if (!runsOn(project, 'pglite')) {
    project.provide('pgliteFolder', '');
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), 'umbel-pglite-'));
  const program = `
    const { PGlite } = await import('@electric-sql/pglite');
    await (await PGlite.create(process.argv[1])).close();
  `;
  const args = [...QUICK_WASM, '--input-type=module', '-e', program, join(folder, 'new')];
  await promisify(execFile)(process.execPath, args, { cwd: join(import.meta.dirname, '../packages/core') });
  project.provide('pgliteFolder', folder);
  return () => rmSync(folder, { recursive: true, force: true });
}
