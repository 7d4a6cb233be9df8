/** The package.json of a project with what Umbel needs added; what is there stays. */
import { neededPackages, SCRIPTS } from './templates.js';

export interface Manifest {
  readonly [field: string]: unknown;
}

export interface ManifestChange {
  readonly manifest: Manifest;
  /** Scripts that were there before, and do something else. */
  readonly keptScripts: readonly string[];
  /** The script that starts the worker. */
  readonly workerScript: string;
  readonly testScript: string;
}

/** Packages are those of `version`; without a manifest, a new one of `name`. */
export function withUmbel(given: Manifest | undefined, name: string, version: string): ManifestChange {
  const manifest: Manifest = given ?? { name, version: '0.0.0', private: true };
  const scripts = { ...recordOf(manifest.scripts) };
  const chosen: Record<string, string> = {};
  const kept: string[] = [];
  for (const [script, line] of Object.entries(SCRIPTS)) {
    const isOwn = scripts[script] === undefined || scripts[script] === line || isPlaceholder(scripts[script]);
    if (!isOwn) kept.push(script);
    const key = isOwn ? script : `umbel:${script}`;
    scripts[key] = line;
    chosen[script] = key;
  }
  const { dependencies, devDependencies } = neededPackages(version);
  const present = { ...recordOf(manifest.dependencies), ...recordOf(manifest.devDependencies) };
  return {
    manifest: {
      ...manifest,
      type: manifest.type ?? 'module',
      scripts,
      dependencies: merged(manifest.dependencies, missing(dependencies, present)),
      devDependencies: merged(manifest.devDependencies, missing(devDependencies, present)),
    },
    keptScripts: kept,
    workerScript: chosen.worker ?? 'worker',
    testScript: chosen.test ?? 'test',
  };
}

/** What `npm init` writes. */
function isPlaceholder(script: unknown): boolean {
  return typeof script === 'string' && script.includes('no test specified');
}

function missing(
  needed: Readonly<Record<string, string>>,
  present: Readonly<Record<string, unknown>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(needed).filter(([name]) => present[name] === undefined));
}

function merged(present: unknown, more: Readonly<Record<string, string>>): Record<string, unknown> {
  const all = { ...recordOf(present), ...more };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}
