/** The tests that pages link to, as the code has them: whether an ordinary run runs them. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { parseSync } from 'oxc-parser';
import config from '../../vitest.config.js';
import { root } from './snippets.js';

/** A node of the syntax tree: what is read of it is looked at first. */
interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** The functions that make a test or a group of tests. */
const MAKERS = new Set(['test', 'it', 'describe', 'suite', 'onEveryEngine']);

/** What may stand between their name and the call: each lets a test run, once for each of its values. */
const RUNNING = new Set(['each', 'for', 'concurrent', 'sequential']);

/** Conditions of `runIf` that hold in every run, for one of its cases. */
const ONE_ENGINE = /^engine\.name === '(?:memory|redis)'$/;

interface Maker {
  readonly name: string;
  /** Why it would not run its tests. */
  readonly obstacle?: string;
}

/** Why an ordinary run does not run the test of that title in a file; undefined if it does. */
export function obstacleTo(title: string, file: string): string | undefined {
  return isIncluded(file) ? obstacleIn(title, readFileSync(file, 'utf8')) : 'no project includes its file';
}

/** Pages link to the same files again and again. */
const trees = new Map<string, ReturnType<typeof parseSync>>();

function parsed(text: string): ReturnType<typeof parseSync> {
  const tree = trees.get(text) ?? parseSync('file.test.ts', text);
  trees.set(text, tree);
  return tree;
}

/** The same of the text of a file. */
export function obstacleIn(title: string, text: string): string | undefined {
  const { program, errors } = parsed(text);
  if (errors.length > 0) return 'its file cannot be read';
  const names = new Map<string, Node>();
  const found: (string | undefined)[] = [];
  let isOnly = false;
  visit(program as unknown as Node, [], (node, above) => {
    if (node.type === 'VariableDeclarator' && isNode(node.init) && isNode(node.id)) {
      names.set(`${node.id.name}`, node.init);
    }
    if (node.type !== 'CallExpression') return;
    const maker = makerOf(node.callee as Node, names, text);
    if (maker === undefined) return;
    if (maker.obstacle === 'only') isOnly = true;
    const [first, ...rest] = node.arguments as Node[];
    if (maker.name === 'describe' || first?.type !== 'Literal' || first.value !== title) return;
    const groups = above.flatMap((outer) =>
      outer.type === 'CallExpression' ? (makerOf(outer.callee as Node, names, text) ?? []) : [],
    );
    found.push(
      [maker, ...groups].find(({ obstacle }) => obstacle !== undefined)?.obstacle ??
        obstacleOfCondition(above, text) ??
        obstacleOfBody(rest),
    );
  });
  if (found.length === 0) return 'there is no such test';
  return isOnly ? 'its file runs only others' : found.find((obstacle) => obstacle !== undefined);
}

/** By the places where the projects look for tests; `**` stands for folders, `*` for one name. */
function isIncluded(file: string): boolean {
  const projects = (config.test?.projects ?? []) as { test?: { include?: string[]; exclude?: string[] } }[];
  const path = relative(root, file);
  return projects.some(
    ({ test: { include = [], exclude = [] } = {} }) =>
      include.some((glob) => matches(path, glob)) && !exclude.some((glob) => matches(path, glob)),
  );
}

function matches(path: string, glob: string): boolean {
  const pattern = glob
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\*\*\/|\*/g, (stars) => (stars === '*' ? '[^/]*' : '(?:.*/)?'));
  return new RegExp(`^${pattern}$`).test(path);
}

/** What a callee makes: `test`, `test.each([…])`, or a name for such a thing. */
function makerOf(callee: Node, names: ReadonlyMap<string, Node>, text: string): Maker | undefined {
  if (callee.type === 'Identifier') {
    const name = `${callee.name}`;
    if (MAKERS.has(name)) return { name };
    const init = names.get(name);
    return init === undefined || init.type === 'Identifier' ? undefined : makerOf(init, new Map(), text);
  }
  if (callee.type === 'CallExpression') {
    const outer = makerOf(callee.callee as Node, names, text);
    if (outer?.obstacle !== 'runIf') return outer;
    const [condition] = callee.arguments as Node[];
    const { name } = outer;
    return condition !== undefined && ONE_ENGINE.test(textOf(condition, text)) ? { name } : outer;
  }
  if (callee.type !== 'MemberExpression') return undefined;
  const outer = makerOf(callee.object as Node, names, text);
  const { name: modifier } = callee.property as Node;
  if (outer === undefined || outer.obstacle !== undefined || RUNNING.has(`${modifier}`)) return outer;
  return { name: outer.name, obstacle: `${modifier}` };
}

/** A test that is made only under a condition of the machine. */
function obstacleOfCondition(above: readonly Node[], text: string): string | undefined {
  const isConditional = above.some(
    (outer) =>
      ['IfStatement', 'ConditionalExpression', 'LogicalExpression'].includes(outer.type) &&
      textOf((outer.test ?? outer.left) as Node, text).includes('process.'),
  );
  return isConditional ? 'a condition' : undefined;
}

function obstacleOfBody(args: readonly Node[]): string | undefined {
  const run = args.find(({ type }) => type === 'ArrowFunctionExpression' || type === 'FunctionExpression');
  if (run === undefined) return args.some(({ type }) => type === 'Identifier') ? undefined : 'no body';
  if ((run.body as Node).type === 'BlockStatement' && ((run.body as Node).body as Node[]).length === 0)
    return 'no body';
  let skips = false;
  visit(run, [], (node) => {
    if (node.type !== 'CallExpression') return;
    const { type, property } = node.callee as Node;
    skips ||= type === 'MemberExpression' && (property as Node).name === 'skip';
    skips ||= type === 'Identifier' && (node.callee as Node).name === 'skip';
  });
  return skips ? 'skip' : undefined;
}

function textOf({ start, end }: Node, text: string): string {
  return text.slice(Number(start), Number(end));
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value;
}

function visit(node: Node, above: readonly Node[], each: (node: Node, above: readonly Node[]) => void): void {
  each(node, above);
  const within = [...above, node];
  for (const child of Object.values(node).flat()) if (isNode(child)) visit(child, within, each);
}
