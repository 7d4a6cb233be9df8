/** `umbel runs`: lists and shows workflow runs, prints their graphs and steps, resumes and wakes them. */
import type { App, GraphEdge, GraphNode, RunFilter, RunGraph } from '@umbel/core';
import { Option } from 'commander';
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { type CommandModule, defineCommand, defineGroup } from '../command.js';
import {
  colorState,
  exactTime,
  longDuration,
  pairs,
  printFacts,
  printTable,
  readableTime,
  relative,
  shortText,
  stateCell,
  waitWords,
} from '../display.js';
import { CliError, EXIT } from '../errors.js';
import { examples, list, plainFlag } from '../flags.js';
import { readInput } from '../input.js';
import {
  type FilterFlags,
  filterFlags,
  noteMore,
  type PageFlags,
  pageFlags,
  pickFlags,
  upTo,
} from '../operator-flags.js';
import { type Colors, cleanLine, counted, type Output, shortDuration } from '../output.js';
import { type GraphFormat, printGraph } from './graph.js';

const graph = defineCommand<OperatorFlags & GraphFormat>({
  define(command) {
    command
      .summary('Print the graph of a workflow run for Mermaid or Graphviz')
      .description(
        'Print the graph of a workflow run with the current states of its jobs, as umbel graph does.',
      )
      .argument('<id>', 'Id of a workflow run')
      .addOption(
        new Option('-f, --format <format>', 'Output format')
          .choices(['mermaid', 'dot', 'json', 'table'])
          .default('mermaid'),
      );
    operatorFlags(command);
    examples(command, [
      ['umbel runs graph 3f2a91c0-… -f dot --name shop | dot -Tsvg > run.svg', 'draw it with Graphviz'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const [id] = context.args as [string];
      return printGraph(context.out, context.flags, await app.result(id).graph());
    }),
});

interface RunFlags extends OperatorFlags, FilterFlags, PageFlags {
  readonly named?: string;
  readonly task?: string;
}

const listRuns = defineCommand<RunFlags>({
  define(command) {
    command
      .summary('List workflow runs, and jobs with callbacks')
      .description('List workflow runs, and jobs with callbacks: unfinished ones first, then failed ones.');
    filterFlags(command);
    command
      .addOption(plainFlag('--named <text>', "With this name, or one that begins with it: 'invoice*'"))
      .addOption(plainFlag('--task <name>', 'With a job of this task'));
    pageFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel runs list --name shop', 'all runs, newest first within each state'],
      ['umbel runs list --state failed --since 1d', 'runs that failed within the last day'],
      ["umbel runs list --named 'invoice*'", 'runs of workflows whose names begin with invoice'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out, flags } = context;
      const { named: name } = flags;
      const filter = {
        ...(pickFlags(flags, ['state', 'tag', 'since', 'until', 'task']) as RunFilter), // core validates the states
        ...(name !== undefined && { name }),
      };
      const { items, cursor } = await upTo(flags.limit, flags.cursor, (page) =>
        app.runs.list({ ...filter, ...page, waitForIndex: true }),
      );
      if (out.isJson) {
        out.document('runs', { runs: items, ...(cursor !== undefined && { cursor }) });
        return EXIT.ok;
      }
      await printTable(
        out,
        ['ID', 'NAME', 'STATE', 'SENT', 'TOOK', 'TAGS', 'REASON'],
        items.map(({ id, name, state, enqueuedAt, finishedAt, tags, reason = '', problem }) => [
          id,
          cleanLine(name),
          stateCell(state, out),
          relative(readableTime(enqueuedAt)),
          finishedAt === undefined || readableTime(enqueuedAt) === undefined
            ? ''
            : longDuration(finishedAt.getTime() - enqueuedAt.getTime()),
          tags.join(' '),
          shortText(problem ?? reason),
        ]),
        'No workflow runs match.',
      );
      noteMore(out, cursor);
      return EXIT.ok;
    }),
});

const show: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary("Show a workflow run's details")
      .description("Show a workflow run's details. For the result, use umbel result.")
      .argument('<id>', 'Id of a workflow run');
    operatorFlags(command);
    examples(command, [['umbel runs show 3f2a91c0-… --name shop', 'its progress and error']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const run = await app.runs.get(id);
      if (run === undefined) throw unknownRun(id);
      const waits = run.finishedAt === undefined ? await waitsOf(app, id) : [];
      if (out.isJson) {
        out.document('run-details', { run, waits });
        return EXIT.ok;
      }
      const { counts, error } = run;
      printFacts(out, [
        ['id', run.id],
        ['name', cleanLine(run.name)],
        ['state', stateCell(run.state, out)],
        ['record', run.problem ?? ''],
        ['steps', pairs(Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)))],
        ...waits.map((wait): [string, string] => ['waits', waitText(wait)]),
        ['sent', exactTime(readableTime(run.enqueuedAt))],
        ['ended', exactTime(run.finishedAt)],
        ['tags', run.tags.join(' ')],
        ['headers', pairs(run.headers)],
        ['sent by', run.parentId ?? ''],
        ['error', error === undefined ? '' : `${error.name}: ${error.message}`],
      ]);
      return EXIT.ok;
    }),
});

const resume: CommandModule = defineCommand<OperatorFlags & { readonly input?: readonly string[] }>({
  define(command) {
    command
      .summary('Resume a failed workflow run')
      .description(
        'Run the failed jobs of a workflow run again, with all their attempts, and then the steps that wait for them. Completed ' +
          'jobs keep their results. If the run has not failed, the exit code is 1. With --input, a step gets a new input, ' +
          "which is validated by the task's schema before anything changes. This requires the code of the task (--app).",
      )
      .argument('<id>', 'Id of a workflow run or job')
      .addOption(
        plainFlag(
          '-i, --input <step=json>',
          'New input for a step, by its id or path (repeatable)',
        ).argParser(list),
      );
    operatorFlags(command);
    examples(command, [
      ['umbel runs resume 3f2a91c0-… --name shop', 'continue from the failed step'],
      [`umbel runs resume 3f2a91c0-… -A ./tasks.ts -i '0-1={"to":"a@b.c"}'`, 'with a new input for a step'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const inputs = await inputsOf(context.flags.input ?? []);
      const jobs = await app.result(id).resume({ inputs });
      if (out.isJson) out.document('run-resumed', { id, jobs });
      else out.data(`${counted(jobs, 'job')} ${jobs === 1 ? 'runs' : 'run'} again`);
      return EXIT.ok;
    }),
});

const wake: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('End the sleeps of a workflow run')
      .description(
        'End waits of a workflow run that have begun: sleeps, and the waits between two turns of a loop. Without a step, end all ' +
          'of them. If the step has not begun to wait, the exit code is 1.',
      )
      .argument('<id>', 'Id of a workflow run')
      .argument('[step]', 'Id or path of a sleep or a loop, such as 0-1; umbel runs show prints them');
    operatorFlags(command);
    examples(command, [
      ['umbel runs wake 3f2a91c0-… --name shop', 'continue now'],
      ['umbel runs wake 3f2a91c0-… 0-1 --name shop', 'end one sleep'],
    ]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out } = context;
      const [id, step] = context.args as [string, string | undefined];
      const waits = await app.result(id).wake(step);
      if (out.isJson) out.document('run-woken', { id, waits });
      else out.data(waits === 0 ? 'Nothing waited.' : `${counted(waits, 'wait')} ended.`);
      return EXIT.ok;
    }),
});

/** A wait of a run that has begun, in JSON output too. */
interface RunWait {
  /** Path of the step. */
  readonly step: string;
  readonly label: string;
  readonly until?: string;
  readonly signal?: GraphNode['signal'];
}

/** Returns the waits of a run that have begun. */
async function waitsOf(app: Pick<App, 'result'>, run: string): Promise<RunWait[]> {
  const { nodes } = (await app.result(run).graph()).toJSON();
  const prefix = `${run}.`;
  return nodes.flatMap(({ id, kind, state, label, until, signal }): RunWait[] => {
    if (kind === undefined || state !== 'delayed') return [];
    const step = id.startsWith(prefix) ? id.slice(prefix.length) : id;
    return [{ step, label, ...(until !== undefined && { until }), ...(signal !== undefined && { signal }) }];
  });
}

/** Describes a wait. */
function waitText({ step, label, until, signal }: RunWait): string {
  const end = until === undefined ? undefined : new Date(until);
  return `step ${step}: ${waitWords({ label, ...(end !== undefined && { until: end }), ...(signal !== undefined && { signal }) })}`;
}

/** Reads inputs written as `step=json`, `step=@file` or `step=-`. */
async function inputsOf(flags: readonly string[]): Promise<Record<string, unknown>> {
  const inputs: [string, unknown][] = [];
  for (const flag of flags) {
    const [, step, text] = /^([^=]+)=([\s\S]+)$/.exec(flag) ?? [];
    if (step === undefined || text === undefined)
      throw new CliError({
        exitCode: EXIT.usage,
        what: `--input "${flag}" names no step.`,
        why: 'Expected step=input, with the input as JSON, @file or -.',
        hint: `Write --input '0-1={"to":"a@b.c"}'; umbel runs tree --json prints the ids of the steps.`,
      });
    if (inputs.some(([other]) => other === step))
      throw new CliError({
        exitCode: EXIT.usage,
        what: `Step "${step}" has two inputs.`,
        why: 'Expected one --input for each step.',
      });
    inputs.push([step, await readInput(text)]);
  }
  return Object.fromEntries(inputs);
}

function unknownRun(id: string): CliError {
  return new CliError({
    exitCode: EXIT.notFound,
    what: `There is no workflow run "${id}".`,
    why: 'No workflow run of this app has this id. If it is the id of a job, use umbel jobs show.',
    hint: 'Check the app and the store: --name and --connection.',
  });
}

// Lays out a graph as lines: consecutive steps below each other, branches indented.

interface Line {
  /** Tree characters: `├─ `, `│  `. */
  readonly prefix: string;
  /** How the node follows the line above: a case of a match, a callback. */
  readonly label: string | undefined;
  readonly node: GraphNode;
  /** Whether an earlier line already shows this node and its successors. */
  readonly isRepeated: boolean;
}

interface Step {
  readonly at: number;
  readonly label: string | undefined;
}

/** The index after the last node. */
const END = -1;

/** Returns a line per node; a node that several branches reach without a common end is repeated. */
export function layOut(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): Line[] {
  const indexes = new Map(nodes.map(({ id }, index) => [id, index]));
  const next: Step[][] = nodes.map(() => []);
  const hasEarlier = new Set<number>();
  for (const { from, to, kind, label } of edges) {
    const [a, b] = [indexes.get(from), indexes.get(to)];
    if (a === undefined || b === undefined || b <= a) continue; // edges lead from earlier to later nodes
    next[a]?.push({ at: b, label: label ?? kind });
    hasEarlier.add(b);
  }
  const meets = meetingPoints(next);
  const first = nodes.flatMap((_, at) => (hasEarlier.has(at) ? [] : [{ at, label: undefined }]));
  return new Layout(nodes, next, meets).lines(first);
}

/** Returns, for each node, where all paths from it meet again: its nearest post-dominator. */
function meetingPoints(next: readonly (readonly Step[])[]): number[] {
  const meets = next.map(() => END);
  for (let at = next.length - 1; at >= 0; at -= 1) {
    const [one, ...others] = (next[at] ?? []).map((step) => step.at);
    meets[at] = others.reduce((a, b) => meetingPoint(meets, a, b), one ?? END);
  }
  return meets;
}

function meetingPoint(meets: readonly number[], one: number, other: number): number {
  let [a, b] = [one, other];
  while (a !== b) {
    if (a === END || b === END) return END;
    if (a < b) a = meets[a] ?? END;
    else b = meets[b] ?? END;
  }
  return a;
}

class Layout {
  readonly #lines: Line[] = [];
  readonly #seen = new Set<number>();

  constructor(
    readonly nodes: readonly GraphNode[],
    readonly next: readonly (readonly Step[])[],
    readonly meets: readonly number[],
  ) {}

  lines(first: readonly Step[]): Line[] {
    const meet = first
      .map(({ at }) => at)
      .reduce((a, b) => meetingPoint(this.meets, a, b), first[0]?.at ?? END);
    if (first.length === 1) this.#sequence(first[0] as Step, END, '', '');
    else {
      this.#branches(first, meet, '');
      if (meet !== END) this.#sequence({ at: meet, label: undefined }, END, '', '');
    }
    return this.#lines;
  }

  /** Adds a step and its successors, up to the end of its branch. */
  #sequence(from: Step, end: number, firstPrefix: string, prefix: string): void {
    let step = from;
    let linePrefix = firstPrefix;
    while (step.at !== end && step.at !== END) {
      const node = this.nodes[step.at];
      if (node === undefined) return;
      const isRepeated = this.#seen.has(step.at);
      this.#seen.add(step.at);
      this.#lines.push({ prefix: linePrefix, label: step.label, node, isRepeated });
      if (isRepeated) return;
      linePrefix = prefix;
      const steps = this.next[step.at] ?? [];
      const [only, ...others] = steps;
      if (only !== undefined && others.length === 0) {
        step = only;
        continue;
      }
      const meet = this.meets[step.at] ?? END;
      this.#branches(
        steps.filter(({ at }) => at !== meet),
        meet,
        prefix,
      );
      step = { at: meet, label: undefined };
    }
  }

  #branches(steps: readonly Step[], meet: number, prefix: string): void {
    for (const [index, step] of steps.entries()) {
      const isLast = index === steps.length - 1;
      this.#sequence(step, meet, `${prefix}${isLast ? '└─ ' : '├─ '}`, `${prefix}${isLast ? '   ' : '│  '}`);
    }
  }
}

const tree = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('Print the steps of a workflow run with their states')
      .description(
        'Print the steps of a workflow run with their states: consecutive steps below each other, branches indented. Equal ' +
          'members of a group share one line.',
      )
      .argument('<id>', 'Id of a workflow run');
    operatorFlags(command);
    examples(command, [['umbel runs tree 3f2a91c0-… --name shop', 'state of each step']]);
  },
  run: (context) =>
    withSharedApp(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const handle = app.result(id);
      const [graph, state] = await Promise.all([handle.graph(), handle.state()]);
      if (out.isJson) out.document('run-tree', { state, ...graph.toJSON() });
      else {
        out.data(`${out.colors.bold(cleanLine(id))}  ${colorState(state, out.colors)}`);
        printTree(out, graph);
      }
      return EXIT.ok;
    }),
});

const SIGN: Readonly<Record<string, string>> = {
  completed: '✓',
  failed: '✗',
  active: '▶',
  revoked: '⊘',
  expired: '⊘',
  skipped: '–',
};

function printTree(out: Output, { nodes, edges }: RunGraph): void {
  const { colors } = out;
  const lines = layOut(nodes, edges);
  const width = Math.max(
    0,
    ...lines.map(({ prefix, node, label }) => nameOf(node, label).length + prefix.length),
  );
  for (const { prefix, label, node, isRepeated } of lines) {
    const name = nameOf(node, label);
    const padding = ' '.repeat(Math.max(0, width - name.length - prefix.length));
    const facts = isRepeated ? [colors.dim('see above')] : factsOf(node, colors);
    out.data(`${colors.dim(prefix)}${signOf(node)} ${name}${padding}  ${facts.join('  ')}`);
  }
}

function nameOf({ label, count = 1, isEach }: GraphNode, how: string | undefined): string {
  const many = isEach ? ' × each' : count > 1 ? ` × ${count}` : '';
  return `${how === undefined ? '' : `${cleanLine(how)}: `}${cleanLine(label)}${many}`;
}

function signOf({ state, counts = {} }: GraphNode): string {
  if (Object.keys(counts).length > 1) return '▶';
  return Object.hasOwn(SIGN, state) ? (SIGN[state] ?? '·') : '·';
}

function factsOf(node: GraphNode, colors: Colors): string[] {
  const { state, counts, attempts = 0, durationMs, error, until, signal } = node;
  const states =
    counts === undefined
      ? colorState(state, colors)
      : Object.entries(counts)
          .map(([each, count]) => `${count} ${colorState(each, colors)}`)
          .join(', ');
  return [
    states,
    ...(durationMs === undefined ? [] : [shortDuration(durationMs)]),
    ...(signal?.key === undefined ? [] : [`key ${cleanLine(signal.key)}`]),
    ...(until === undefined ? [] : [`until ${exactTime(until)}`]),
    ...(attempts > 1 ? [`${attempts} attempts`] : []),
    ...(error === undefined ? [] : [colors.red(shortText(error, 100))]),
  ];
}

export default defineGroup({
  description: 'Inspect, resume and wake workflow runs.',
  verbs: { list: listRuns, show, tree, graph, resume, wake },
  examples: [
    ['umbel runs list --state failed --name shop', 'find failed runs'],
    ['umbel runs tree 3f2a91c0-… --name shop', 'find the failed step'],
    ['umbel runs resume 3f2a91c0-… --name shop', 'resume from there'],
  ],
});
