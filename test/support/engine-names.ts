/** Which stores a run of the tests is on. */
import type { TestProject } from 'vitest/node';

/** Whether a project runs on a store: by its own setting, else by `UMBEL_ENGINES`, such as `memory,redis`. For `globalSetup`. */
export function runsOn(project: TestProject, engine: 'postgres' | 'pglite'): boolean {
  const names = project.config.env?.UMBEL_ENGINES ?? process.env.UMBEL_ENGINES;
  return names?.split(',').includes(engine) === true;
}
