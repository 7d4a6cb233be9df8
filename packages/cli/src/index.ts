import type { UmbelConfig } from './config.js';

export type { UmbelConfig } from './config.js';

/** The configuration itself, typed: `export default defineConfig({ app: './tasks.ts' })` in `umbel.config.ts`. */
export function defineConfig(config: UmbelConfig): UmbelConfig {
  return config;
}
