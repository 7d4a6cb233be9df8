/** Removes everything that was built, also what is left of sources that are gone. */
import { readdirSync, rmSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const within = (folder) => readdirSync(new URL(folder, root)).map((name) => `${folder}${name}/`);

for (const folder of [...within('packages/'), ...within('examples/'), 'chaos/'])
  rmSync(new URL(`${folder}dist`, root), { recursive: true, force: true });
