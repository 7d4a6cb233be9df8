/** Loads TypeScript modules in the child processes of isolated tasks as the worker loads them. Other modules load as usual. */
import type { LoadHook } from 'node:module';
import { fileURLToPath } from 'node:url';

const MODULES = new URL('../modules.js', import.meta.url).href;

export const load: LoadHook = async (url, context, nextLoad) => {
  if (!/^file:.*\.[cm]?tsx?$/.test(url)) return nextLoad(url, context);
  const source = [
    `import { importModule } from ${JSON.stringify(MODULES)};`,
    `await importModule(${JSON.stringify(fileURLToPath(url))});`,
  ].join('\n');
  return { format: 'module', source, shortCircuit: true };
};
