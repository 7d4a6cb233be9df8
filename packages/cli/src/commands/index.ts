/** Lists every command with its line in the overview and its loader. A new command is a file in this folder and an entry here. */
import type { CommandModule } from '../command.js';

interface CommandEntry {
  readonly summary: string;
  readonly group: string;
  readonly load: () => Promise<{ readonly default: CommandModule }>;
}

const RUN = 'Run:';
const INSPECT = 'Inspect:';
const OPERATE = 'Operate:';
const SET_UP = 'Set up:';

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  worker: { group: RUN, summary: 'Run a worker', load: () => import('./worker.js') },
  dev: {
    group: RUN,
    summary: 'Run a worker and a store in one process, for development',
    load: () => import('./dev.js'),
  },
  call: { group: RUN, summary: 'Send a job', load: () => import('./call.js') },
  run: { group: RUN, summary: 'Send a workflow that a module exports', load: () => import('./run.js') },
  result: {
    group: INSPECT,
    summary: 'Print the result of a job or workflow run',
    load: () => import('./result.js'),
  },
  graph: {
    group: INSPECT,
    summary: 'Print the graph of a workflow or workflow run',
    load: () => import('./graph.js'),
  },
  doctor: {
    group: INSPECT,
    summary: 'Check the store and the app (read-only)',
    load: () => import('./doctor.js'),
  },
  status: { group: INSPECT, summary: 'Show an overview of the app', load: () => import('./status.js') },
  inspect: {
    group: INSPECT,
    summary: 'Inspect workers, queues, and running and waiting jobs',
    load: () => import('./inspect.js'),
  },
  runs: {
    group: INSPECT,
    summary: 'Inspect, resume and wake workflow runs: list, show, tree, graph, resume, wake',
    load: () => import('./runs.js'),
  },
  jobs: { group: INSPECT, summary: 'Inspect jobs: list, show', load: () => import('./jobs.js') },
  dashboard: {
    group: INSPECT,
    summary: 'Serve a web page of the app on this machine',
    load: () => import('./dashboard.js'),
  },
  top: { group: INSPECT, summary: 'Show a live view of queues and workers', load: () => import('./top.js') },
  events: { group: INSPECT, summary: 'Stream events', load: () => import('./events.js') },
  control: {
    group: OPERATE,
    summary: 'Control workers, queues and jobs: pause, revoke, limits, shutdown',
    load: () => import('./control.js'),
  },
  dead: {
    group: OPERATE,
    summary: 'Manage dead letters: list, show, replay, discard',
    load: () => import('./dead.js'),
  },
  schedule: {
    group: OPERATE,
    summary: 'Manage schedules: list, next, run, pause, resume, sync',
    load: () => import('./schedule.js'),
  },
  signal: {
    group: OPERATE,
    summary: 'Send signals, and list the waits for them: list, send',
    load: () => import('./signal.js'),
  },
  purge: { group: OPERATE, summary: 'Remove waiting jobs from queues', load: () => import('./purge.js') },
  init: {
    group: SET_UP,
    summary: 'Add a first task, a worker and a test to a project',
    load: () => import('./init.js'),
  },
  migrate: {
    group: SET_UP,
    summary: 'Create or update the schema of a PostgreSQL or PGlite store',
    load: () => import('./migrate.js'),
  },
  completion: {
    group: SET_UP,
    summary: 'Print a shell completion script',
    load: () => import('./completion.js'),
  },
};
