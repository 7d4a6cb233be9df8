/** Every command: its line in the overview, and where it is. A new one is a file in this folder and an entry here. */
import type { CommandModule } from '../command.js';

interface CommandEntry {
  readonly summary: string;
  readonly group: string;
  readonly load: () => Promise<{ readonly default: CommandModule }>;
}

const RUN = 'Run:';
const LOOK = 'Look:';
const START = 'Set up:';

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  worker: { group: RUN, summary: 'run a worker for the tasks of modules', load: () => import('./worker.js') },
  dev: {
    group: RUN,
    summary: 'a worker and a store in one process, for development',
    load: () => import('./dev.js'),
  },
  call: { group: RUN, summary: 'send a call of a task', load: () => import('./call.js') },
  run: { group: RUN, summary: 'send a composition that a module exports', load: () => import('./run.js') },
  result: { group: LOOK, summary: 'the result of a call or a run', load: () => import('./result.js') },
  graph: {
    group: LOOK,
    summary: 'the graph of a composition, or of a run',
    load: () => import('./graph.js'),
  },
  doctor: {
    group: LOOK,
    summary: 'look for what may be wrong, and change nothing',
    load: () => import('./doctor.js'),
  },
  init: {
    group: START,
    summary: 'add a first task, a worker and a test to a project',
    load: () => import('./init.js'),
  },
  completion: {
    group: START,
    summary: 'completion of commands and flags for a shell',
    load: () => import('./completion.js'),
  },
};
