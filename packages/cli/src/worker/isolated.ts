/** Isolated tasks in TypeScript: the child processes that run them have to load their modules as this one does. */
import type { AppDescription } from '@umbel/core';

/** Lets child processes of this one, which take over its `execArgv`, load TypeScript. */
export function loadTypeScriptInChildren({ tasks }: AppDescription, execArgv = process.execArgv): void {
  const needsIt = tasks.some(({ isolate }) => isolate !== undefined && /\.[cm]?tsx?$/.test(isolate));
  if (!needsIt) return;
  const loader = new URL('./typescript-register.js', import.meta.url).href;
  if (!execArgv.includes(loader)) execArgv.push('--import', loader);
}
