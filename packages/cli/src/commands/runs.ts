import type { GraphEdge, GraphNode, RunFilter, RunGraph } from '@umbel/core';
import { Option } from 'commander';
import { type OperatorFlags, operatorFlags, withOperated } from '../app-commands.js';
import { type CommandModule, defineCommand, defineGroup } from '../command.js';
import {
  exact,
  known,
  longDuration,
  painted,
  pairs,
  printFacts,
  printTable,
  relative,
  shortText,
  stateCell,
} from '../display.js';
import { CliError, EXIT } from '../errors.js';
import { examples, list, ownFlag } from '../flags.js';
import { readInput } from '../input.js';
import {
  type FilterFlags,
  filterFlags,
  given,
  type PageFlags,
  pageFlags,
  tellMore,
  upTo,
} from '../operator-flags.js';
import { type Colors, cleanLine, counted, type Output, shortDuration } from '../output.js';
import { type GraphFormat, printGraph } from './graph.js';

export const graph = defineCommand<OperatorFlags & GraphFormat>({
  define(command) {
    command
      .summary('the graph of one, for Mermaid or Graphviz')
      .description(
        'Prints the graph of a run with the states of its tasks as they are now, as umbel graph does.',
      )
      .argument('<id>', 'id of a run')
      .addOption(
        new Option('-f, --format <format>', 'what to print')
          .choices(['mermaid', 'dot', 'json', 'table'])
          .default('mermaid'),
      );
    operatorFlags(command);
    examples(command, [
      ['umbel runs graph 3f2a91c0-… -f dot --name shop | dot -Tsvg > run.svg', 'a picture'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const [id] = context.args as [string];
      return printGraph(context.out, context.flags, await app.result(id).graph());
    }),
});

export const listRuns = defineCommand<OperatorFlags & FilterFlags & PageFlags>({
  define(command) {
    command
      .summary('compositions, and calls with callbacks')
      .description(
        'Lists the compositions, and calls with callbacks: those that go on first, then those that failed.',
      );
    filterFlags(command);
    pageFlags(command);
    operatorFlags(command);
    examples(command, [
      ['umbel runs list --name shop', 'all, newest first of each state'],
      ['umbel runs list --state failed --since 1d', 'those that failed since yesterday'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out, flags } = context;
      const filter = given(flags, ['state', 'tag', 'since', 'until']) as RunFilter; // states are checked there
      const { items, cursor } = await upTo(flags.limit, flags.cursor, (page) =>
        app.runs.list({ ...filter, ...page }),
      );
      if (out.isJson) {
        out.document('runs', { runs: items, ...(cursor !== undefined && { cursor }) });
        return EXIT.ok;
      }
      await printTable(
        out,
        ['ID', 'STATE', 'SENT', 'TOOK', 'TAGS', 'REASON'],
        items.map(({ id, state, enqueuedAt, finishedAt, tags, reason = '', problem }) => [
          id,
          stateCell(state, out),
          relative(known(enqueuedAt)),
          finishedAt === undefined || known(enqueuedAt) === undefined
            ? ''
            : longDuration(finishedAt.getTime() - enqueuedAt.getTime()),
          tags.join(' '),
          shortText(problem ?? reason),
        ]),
        'There are no such runs.',
      );
      tellMore(out, cursor);
      return EXIT.ok;
    }),
});

export const show: CommandModule = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('all that is known of one but its result')
      .description('Tells all that is known of a run but its result, which umbel result gives.')
      .argument('<id>', 'id of a run');
    operatorFlags(command);
    examples(command, [['umbel runs show 3f2a91c0-… --name shop', 'how far it is, and why it failed']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const run = await app.runs.get(id);
      if (run === undefined) throw unknownRun(id);
      if (out.isJson) {
        out.document('run-details', { run });
        return EXIT.ok;
      }
      const { counts, error } = run;
      printFacts(out, [
        ['id', run.id],
        ['state', stateCell(run.state, out)],
        ['record', run.problem ?? ''],
        ['steps', pairs(Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)))],
        ['sent', exact(known(run.enqueuedAt))],
        ['ended', exact(run.finishedAt)],
        ['tags', run.tags.join(' ')],
        ['headers', pairs(run.headers)],
        ['sent by', run.parentId ?? ''],
        ['error', error === undefined ? '' : `${error.name}: ${error.message}`],
      ]);
      return EXIT.ok;
    }),
});

export const resume: CommandModule = defineCommand<OperatorFlags & { readonly input?: readonly string[] }>({
  define(command) {
    command
      .summary('run what has failed of one again')
      .description(
        'Runs what has failed of a run again, with all its attempts, and then what waits for it; what has succeeded keeps its ' +
          'result. Of one that has not failed the exit code is 1. With --input, a step gets another input: it is checked ' +
          "against the task's schema before anything is changed, so the code of the task is needed (--app).",
      )
      .argument('<id>', 'id of a run, or of a call')
      .addOption(
        ownFlag(
          '-i, --input <step=json>',
          'another input for a step, by its id or path; repeatable',
        ).argParser(list),
      );
    operatorFlags(command);
    examples(command, [
      ['umbel runs resume 3f2a91c0-… --name shop', 'from where it failed'],
      [`umbel runs resume 3f2a91c0-… -A ./tasks.ts -i '0-1={"to":"a@b.c"}'`, 'with another input for a step'],
    ]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const inputs = await inputsOf(context.flags.input ?? []);
      const jobs = await app.result(id).resume({ inputs });
      if (out.isJson) out.document('run-resumed', { id, jobs });
      else out.data(`${counted(jobs, 'job')} ${jobs === 1 ? 'runs' : 'run'} again`);
      return EXIT.ok;
    }),
});

/** The inputs that are given as `step=json`, `step=@file` or `step=-`. */
async function inputsOf(flags: readonly string[]): Promise<Record<string, unknown>> {
  const inputs: [string, unknown][] = [];
  for (const flag of flags) {
    const [, step, text] = /^([^=]+)=([\s\S]+)$/.exec(flag) ?? [];
    if (step === undefined || text === undefined)
      throw new CliError({
        exitCode: EXIT.usage,
        what: `The input "${flag}" names no step.`,
        why: 'Expected a step and its input, as JSON, @file or -.',
        hint: `Write --input '0-1={"to":"a@b.c"}'; umbel runs tree has the ids of the steps.`,
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
    what: `There is no run ${id}.`,
    why: 'Ids of calls are looked at with umbel jobs show.',
    hint: 'Is it of this app, and in this store? See --name and --connection.',
  });
}

// A graph of steps as lines: what follows one after the other stands below each other, branches are set in.

export interface Line {
  /** Of the tree: `├─ `, `│  `. */
  readonly prefix: string;
  /** How it comes after what stands above: a case of a match, a callback. */
  readonly label: string | undefined;
  readonly node: GraphNode;
  /** It stands above already, with all that follows. */
  readonly isRepeated: boolean;
}

interface Step {
  readonly at: number;
  readonly label: string | undefined;
}

/** Stands for the end of everything. */
const END = -1;

/** Every node once, but for those that several branches come to without an end in common. */
export function layOut(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): Line[] {
  const indexes = new Map(nodes.map(({ id }, index) => [id, index]));
  const next: Step[][] = nodes.map(() => []);
  const hasEarlier = new Set<number>();
  for (const { from, to, kind, label } of edges) {
    const [a, b] = [indexes.get(from), indexes.get(to)];
    if (a === undefined || b === undefined || b <= a) continue; // earlier nodes come first
    next[a]?.push({ at: b, label: label ?? kind });
    hasEarlier.add(b);
  }
  const meets = meetingPoints(next);
  const first = nodes.flatMap((_, at) => (hasEarlier.has(at) ? [] : [{ at, label: undefined }]));
  return new Layout(nodes, next, meets).lines(first);
}

/** Where all ways from a node come together again: its nearest post-dominator. */
function meetingPoints(next: readonly (readonly Step[])[]): number[] {
  const meets = next.map(() => END);
  for (let at = next.length - 1; at >= 0; at -= 1) {
    const [one, ...others] = (next[at] ?? []).map((step) => step.at);
    meets[at] = others.reduce((a, b) => together(meets, a, b), one ?? END);
  }
  return meets;
}

function together(meets: readonly number[], one: number, other: number): number {
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
    const meet = first.map(({ at }) => at).reduce((a, b) => together(this.meets, a, b), first[0]?.at ?? END);
    if (first.length === 1) this.#sequence(first[0] as Step, END, '', '');
    else {
      this.#branches(first, meet, '');
      if (meet !== END) this.#sequence({ at: meet, label: undefined }, END, '', '');
    }
    return this.#lines;
  }

  /** A step and what follows, up to where its branch ends. */
  #sequence(from: Step, end: number, firstPrefix: string, prefix: string): void {
    let step = from;
    let own = firstPrefix;
    while (step.at !== end && step.at !== END) {
      const node = this.nodes[step.at];
      if (node === undefined) return;
      const isRepeated = this.#seen.has(step.at);
      this.#seen.add(step.at);
      this.#lines.push({ prefix: own, label: step.label, node, isRepeated });
      if (isRepeated) return;
      own = prefix;
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

export const tree = defineCommand<OperatorFlags>({
  define(command) {
    command
      .summary('the steps of a run, with their states')
      .description(
        'Prints the steps of a run with their states: what follows one after the other stands below each other, branches are ' +
          'set in. Many equal members of a group are one line.',
      )
      .argument('<id>', 'id of a run');
    operatorFlags(command);
    examples(command, [['umbel runs tree 3f2a91c0-… --name shop', 'where it stands']]);
  },
  run: (context) =>
    withOperated(context, async (app) => {
      const { out } = context;
      const [id] = context.args as [string];
      const handle = app.result(id);
      const [graph, state] = await Promise.all([handle.graph(), handle.state()]);
      if (out.isJson) out.document('run-tree', { state, ...graph.toJSON() });
      else {
        out.data(`${out.colors.bold(cleanLine(id))}  ${painted(state, out.colors)}`);
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
  const { state, counts, attempts = 0, durationMs, error } = node;
  const states =
    counts === undefined
      ? painted(state, colors)
      : Object.entries(counts)
          .map(([each, count]) => `${count} ${painted(each, colors)}`)
          .join(', ');
  return [
    states,
    ...(durationMs === undefined ? [] : [shortDuration(durationMs)]),
    ...(attempts > 1 ? [`${attempts} attempts`] : []),
    ...(error === undefined ? [] : [colors.red(shortText(error, 100))]),
  ];
}

export default defineGroup({
  description: 'Looks at the compositions of an app, and runs again what has failed of them.',
  verbs: { list: listRuns, show, tree, graph, resume },
  examples: [
    ['umbel runs list --state failed --name shop', 'what has failed'],
    ['umbel runs tree 3f2a91c0-… --name shop', 'at which step'],
    ['umbel runs resume 3f2a91c0-… --name shop', 'again, from there'],
  ],
});
