/** Every command: its line in the overview, and where it is. A new one is a file in this folder and an entry here. */
import type { CommandModule } from '../command.js';

interface CommandEntry {
  readonly summary: string;
  readonly group: string;
  readonly load: () => Promise<{ readonly default: CommandModule }>;
}

const RUN = 'Run:';
const LOOK = 'Look:';
const DIRECT = 'Direct:';
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
  status: { group: LOOK, summary: 'how an app is, at a glance', load: () => import('./status.js') },
  inspect: {
    group: LOOK,
    summary: 'workers, queues, and what runs and waits',
    load: () => import('./inspect.js'),
  },
  runs: {
    group: LOOK,
    summary: 'compositions: list, show, tree, graph, resume',
    load: () => import('./runs.js'),
  },
  jobs: { group: LOOK, summary: 'jobs of tasks: list, show', load: () => import('./jobs.js') },
  top: { group: LOOK, summary: 'queues and workers, live', load: () => import('./top.js') },
  events: { group: LOOK, summary: 'what happens, as it happens', load: () => import('./events.js') },
  control: {
    group: DIRECT,
    summary: 'workers, queues and jobs: pause, revoke, limits, shutdown',
    load: () => import('./control.js'),
  },
  dead: { group: DIRECT, summary: 'failed jobs: list, show, replay, drop', load: () => import('./dead.js') },
  schedule: {
    group: DIRECT,
    summary: 'schedules: list, next, run, pause, resume, sync',
    load: () => import('./schedule.js'),
  },
  purge: { group: DIRECT, summary: 'remove the jobs that wait in queues', load: () => import('./purge.js') },
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
