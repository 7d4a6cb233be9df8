import { fileURLToPath } from 'node:url';

/** A program of this workspace, as it was built: processes run no sources. */
export function programOf(name: 'worker' | 'producer'): string {
  const isBuilt = import.meta.url.includes('/dist/');
  return fileURLToPath(new URL(isBuilt ? `./${name}.js` : `../dist/chaos/src/${name}.js`, import.meta.url));
}
