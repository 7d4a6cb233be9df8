import type { UmbelConfig } from './config.js';

export type { UmbelConfig } from './config.js';

/**
 * Returns the configuration unchanged, with its type checked.
 * @example
 * // umbel.config.ts
 * import { defineConfig } from 'umbel';
 *
 * export default defineConfig({ app: './tasks.ts', worker: { concurrency: 20 } });
 */
export function defineConfig(config: UmbelConfig): UmbelConfig {
  return config;
}
