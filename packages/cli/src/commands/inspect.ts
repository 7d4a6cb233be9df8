/** `umbel inspect`: asks the workers of an app, and lists its workers and waiting jobs. */
import type { Answers, App, AskOptions, JobsQuery, WorkerInfo } from '@umbel/core';
import type { Command } from 'commander';
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { type CommandModule, defineCommand, defineGroup } from '../command.js';
import {
  byteSize,
  currentTime,
  longDuration,
  printFacts,
  printTable,
  readableTime,
  relative,
  stateCell,
} from '../display.js';
import { EXIT } from '../errors.js';
import { examples, integer, plainFlag } from '../flags.js';
import { type AskFlags, answersDocument, askFlags, askOptions, judgeAnswers } from '../operator-flags.js';
import { cleanLine, type Output, shortDuration } from '../output.js';
import { queues } from './status.js';

// Queries that only workers can answer.

interface QueryDefinition<Answer> {
  /** Also the `kind` of the document. */
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly ask: (app: App, options: AskOptions) => Promise<Answers<Answer>>;
  readonly print: (out: Output, answers: Readonly<Record<string, Answer>>) => Promise<void>;
}

function workerQuery<Answer>({
  name,
  summary,
  description,
  ask,
  print,
}: QueryDefinition<Answer>): CommandModule {
  return defineCommand<OperatorFlags & AskFlags>({
    define(command) {
      command.summary(summary).description(description);
      askFlags(command);
      operatorFlags(command);
      examples(command, [
        [`umbel inspect ${name} --name shop`, 'all workers'],
        [`umbel inspect ${name} -A ./tasks.ts -w mail.1 --timeout 5s`, 'one worker'],
      ]);
    },
    run: (context) =>
      withSharedApp(context, async (app) => {
        const { out, flags } = context;
        const answers = await ask(app, askOptions(flags));
        if (out.isJson) out.document(name, answersDocument(answers));
        else if (Object.keys(answers.answers).length > 0) await print(out, answers.answers);
        return judgeAnswers(app, out, answers, flags);
      }),
  });
}

const ping = workerQuery({
  name: 'ping',
  summary: 'Ping workers',
  description: 'Ping every worker. The exit code is 75 if one of them does not answer.',
  ask: (app, options) => app.inspect.ping(options),
  print: (out, answers) =>
    printTable(
      out,
      ['WORKER', 'ANSWERED'],
      Object.entries(answers).map(([name, { roundTripMs }]) => [name, `after ${shortDuration(roundTripMs)}`]),
      '',
    ),
});

const active = workerQuery({
  name: 'active',
  summary: 'List running attempts',
  description: 'List the running attempts, oldest first.',
  ask: (app, options) => app.inspect.active(options),
  print: (out, answers) =>
    printTable(
      out,
      ['ID', 'TASK', 'QUEUE', 'ATTEMPT', 'RUNS FOR', 'WORKER'],
      Object.entries(answers)
        .flatMap(([worker, attempts]) => attempts.map((attempt) => ({ worker, ...attempt })))
        .sort((a, b) => a.startedAt.getTime() - b.startedAt.getTime())
        .map(({ id, task, queue, attempt, startedAt, worker }) => [
          id,
          task,
          queue,
          `${attempt}`,
          longDuration(currentTime() - startedAt.getTime()),
          worker,
        ]),
      'No attempts are running.',
    ),
});

const stats = workerQuery({
  name: 'stats',
  summary: 'Show worker statistics',
  description: 'Show what each worker has done since its start, with its load and memory.',
  ask: (app, options) => app.inspect.stats(options),
  print: (out, answers) =>
    printTable(
      out,
      [
        'WORKER',
        'PID',
        'UP',
        'ACTIVE',
        'COMPLETED',
        'FAILED',
        'RETRIED',
        'LOST',
        'LOAD',
        'MEMORY',
        'VERSION',
        'NODE',
      ],
      Object.entries(answers).map(([name, worker]) => [
        name,
        `${worker.pid}`,
        longDuration(worker.uptimeMs),
        `${worker.active}`,
        `${worker.counts.completed}`,
        `${worker.counts.failed}`,
        `${worker.counts.retried}`,
        `${worker.counts.lost}`,
        `${Math.round(worker.load * 100)}%`,
        byteSize(worker.rssBytes),
        worker.version,
        worker.node,
      ]),
      '',
    ),
});

const registered = workerQuery({
  name: 'registered',
  summary: 'List tasks that workers have handlers for',
  description:
    'List the tasks that workers have handlers for. With --json, include the schemas of their inputs and results, if the ' +
    'schema library can export them.',
  ask: (app, options) => app.inspect.registered(options),
  print: (out, answers) => {
    const rows = new Map<string, { cells: string[]; workers: string[] }>();
    for (const [worker, tasks] of Object.entries(answers)) {
      for (const { name, queue, attempts, timeoutMs, priority, isIsolated } of tasks) {
        const timeout = timeoutMs === null ? '' : shortDuration(timeoutMs);
        const cells = [name, queue, `${attempts}`, timeout, `${priority}`, isIsolated ? 'isolated' : ''];
        const key = cells.join('\n');
        const row = rows.get(key) ?? { cells, workers: [] };
        row.workers.push(worker);
        rows.set(key, row);
      }
    }
    const sorted = [...rows.values()].sort((a, b) => ((a.cells[0] ?? '') < (b.cells[0] ?? '') ? -1 : 1));
    return printTable(
      out,
      ['TASK', 'QUEUE', 'ATTEMPTS', 'TIMEOUT', 'PRIORITY', 'RUNS', 'WORKERS'],
      sorted.map(({ cells, workers }) => [...cells, workers.join(' ')]),
      'The workers have no handlers.',
    );
  },
});

const conf = workerQuery({
  name: 'conf',
  summary: 'Show worker settings',
  description: 'Show the settings of each worker and its app, without passwords, keys and headers.',
  ask: (app, options) => app.inspect.conf(options),
  print: async (out, answers) => {
    for (const [name, { connection, ...settings }] of Object.entries(answers)) {
      out.data(out.colors.bold(cleanLine(name)));
      const { kind, addresses, database, isEncrypted } = connection;
      const tls = isEncrypted ? ', encrypted' : '';
      printFacts(out, [
        ['connection', `${kind} ${addresses.join(' ')}, database ${database}${tls}`],
        ...Object.entries(settings).map(
          ([key, value]) => [key.replace(/(?:Ms|Bytes)$/, ''), settingText(key, value)] as const,
        ),
      ]);
    }
  },
});

function settingText(key: string, value: unknown): string {
  if (value === null) return 'none';
  if (Array.isArray(value)) return value.map(String).join(', ') || 'none';
  if (typeof value === 'number' && key.endsWith('Ms')) return longDuration(value);
  if (typeof value === 'number' && key.endsWith('Bytes')) return byteSize(value);
  return String(value);
}

type WaitingFlags = OperatorFlags & { readonly queue?: string; readonly limit: number };

function waitingFlags(command: Command): void {
  command
    .addOption(plainFlag('--queue <name>', 'Only this queue'))
    .addOption(plainFlag('--limit <n>', 'Maximum number of rows').argParser(integer(1, 1000)).default(100));
  operatorFlags(command);
}

const queryOf = ({ queue, limit }: WaitingFlags): JobsQuery => ({
  limit,
  ...(queue !== undefined && { queue }),
});

const scheduled: CommandModule = defineCommand<WaitingFlags>({
  define(command) {
    command
      .summary('List delayed jobs (countdown or retry)')
      .description('List the delayed jobs, which wait for a countdown or a retry. The next one comes first.');
    waitingFlags(command);
    examples(command, [['umbel inspect scheduled --name shop --limit 10', 'the next ten due jobs']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const jobs = await app.inspect.scheduled(queryOf(flags));
      if (out.isJson) out.document('scheduled', { jobs });
      else
        await printTable(
          out,
          ['ID', 'TASK', 'QUEUE', 'DUE', 'ATTEMPT', 'SENT'],
          jobs.map(({ id, task, queue, dueAt, attempt, enqueuedAt, problem }) => [
            id,
            task,
            queue,
            relative(readableTime(dueAt)),
            `${attempt}`,
            problem ?? relative(readableTime(enqueuedAt)),
          ]),
          'There are no delayed jobs.',
        );
      return EXIT.ok;
    }),
});

const reserved: CommandModule = defineCommand<WaitingFlags>({
  define(command) {
    command
      .summary('List the next jobs to be taken')
      .description(
        'List the waiting jobs in the order in which workers will take them, queue by queue. Workers do not reserve jobs: each ' +
          'takes a job when it has a free slot.',
      );
    waitingFlags(command);
    examples(command, [['umbel inspect reserved --name shop --queue mail', 'the next jobs of mail']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const jobs = await app.inspect.reserved(queryOf(flags));
      if (out.isJson) out.document('reserved', { jobs });
      else
        await printTable(
          out,
          ['ID', 'TASK', 'QUEUE', 'ATTEMPT', 'SENT'],
          jobs.map(({ id, task, queue, attempt, enqueuedAt, problem }) => [
            id,
            task,
            queue,
            `${attempt}`,
            problem ?? relative(readableTime(enqueuedAt)),
          ]),
          'There are no waiting jobs.',
        );
      return EXIT.ok;
    }),
});

const workers = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('List workers, including those missing for less than an hour')
      .description(
        'List the workers that the store knows. A worker that was killed is listed as missing for one hour; a worker that was ' +
          'closed is not listed.',
      );
    operatorFlags(command);
    examples(command, [
      ['umbel inspect workers --name shop', 'all workers'],
      ['umbel inspect workers --json | jq .workers[].name', 'for a script'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out } = context;
      const all = await app.inspect.workers();
      if (out.isJson) out.document('workers', { workers: all });
      else await printWorkers(out, all);
      return EXIT.ok;
    }),
});

function printWorkers(out: Output, all: readonly WorkerInfo[]): Promise<void> {
  return printTable(
    out,
    ['WORKER', 'STATE', 'ACTIVE', 'QUEUES', 'UP', 'SEEN', 'PROCESSES', 'HOST'],
    all.map(({ name, state, active, concurrency, queues, uptimeMs, lastSeenAt, processes }) => [
      name,
      stateCell(state, out),
      `${active}/${concurrency}`,
      Object.entries(queues)
        .map(([queue, served]) => `${queue}=${served.concurrency}`)
        .join(' '),
      state === 'missing' ? '' : longDuration(uptimeMs),
      relative(lastSeenAt),
      `${processes.length}`,
      [...new Set(processes.map(({ host }) => host))].join(' '),
    ]),
    'No worker was seen within the last hour.',
  );
}

export default defineGroup({
  description:
    'Inspect the workers and queues of an app (read-only). workers, queues, scheduled and reserved read the store. The other ' +
    'commands ask the workers: the exit code is 75 if an expected worker does not answer, 1 if a worker cannot answer, and 3 ' +
    'if a named worker is unknown.',
  verbs: { workers, queues, active, scheduled, reserved, registered, stats, conf, ping },
  examples: [
    ['umbel inspect workers --name shop', 'all workers'],
    ['umbel inspect active --name shop', 'running attempts'],
    ['umbel inspect queues --name shop -b redis://db:6379', 'jobs by queue'],
    ['umbel inspect ping --app ./tasks.ts || alert', 'alert if a worker does not answer'],
  ],
});
