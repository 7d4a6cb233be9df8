/** What the types cost the compiler: instantiations and check times of generated programs. See README.md. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const COMPILER = join(ROOT, 'node_modules/typescript/bin/tsc');
/** So many chains or groups are in one program, since a single one is within the noise of the times. */
const COPIES = 20;

const folder = mkdtempSync(join(tmpdir(), 'umbel-types-'));
symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));

const range = (length) => Array.from({ length }, (_, index) => index);
const lines = (length, line) => range(length).map(line).join('\n');

/** Compiles files; gives instantiations and check seconds. A program with an error measures nothing, so it is thrown. */
function measure(files) {
  const program = join(folder, 'program');
  rmSync(program, { recursive: true, force: true });
  mkdirSync(program);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(program, name), text);
  const options = [
    ...['--noEmit', '--ignoreConfig', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck'],
    ...['--target', 'es2023', '--module', 'nodenext', '--types', 'node', '--typeRoots'],
    ...[join(ROOT, 'node_modules/@types'), '--extendedDiagnostics', '--singleThreaded', '--pretty', 'false'],
  ];
  let output;
  try {
    output = execFileSync(process.execPath, [COMPILER, ...options, ...Object.keys(files)], {
      cwd: program,
      encoding: 'utf8',
      maxBuffer: 1e9,
    });
  } catch (error) {
    throw new Error(`The program does not compile:\n${String(error.stdout).slice(0, 2000)}`);
  }
  const figure = (name) => Number(new RegExp(`^${name}:\\s*([\\d.]+)`, 'm').exec(output)?.[1]);
  return { instantiations: figure('Instantiations'), seconds: figure('Check time') };
}

/** What `more` adds to a program. */
function added(base, more) {
  const [before, after] = [measure(base), measure(more)];
  return {
    instantiations: after.instantiations - before.instantiations,
    seconds: after.seconds - before.seconds,
  };
}

const rows = [];
function row(what, size, value, { design = '', limit = undefined, ms = undefined } = {}) {
  const isOver = limit !== undefined && value > limit;
  const cells = [
    what.padEnd(34),
    String(size).padStart(6),
    Math.round(value).toLocaleString('en').padStart(10),
    (limit === undefined ? '' : `≤ ${limit}`).padStart(8),
    (isOver ? 'OVER' : '').padEnd(5),
    (ms === undefined ? '' : ms.toFixed(2)).padStart(8),
    design === '' ? '' : `  ${design}`,
  ];
  rows.push({ isOver });
  console.log(cells.join(' ').trimEnd());
}

// Declared tasks of which each gives what the next one needs.
const declared = (steps) =>
  `import type { Task } from '@umbel/core';\n${lines(COPIES, (copy) =>
    lines(
      steps,
      (i) =>
        `declare const t${copy}_${i}: Task<'t${copy}_${i}', { k${copy}_${i}: string; n: number; deep: { a: string; b?: number } }, { k${copy}_${i + 1}: string; n: number; deep: { a: string; b?: number }; extra: string[] }>;`,
    ),
  )}\n`;
const use = (steps, functions, expression) => ({
  'main.ts': `import { ${functions} } from '@umbel/canvas';\n${declared(steps)}${lines(
    COPIES,
    (copy) => `export const c${copy} = ${expression(copy, (i) => `t${copy}_${i}`)};`,
  )}`,
});

/** Each kind of composition, per size; the slope between the two largest sizes is the cost of one more part. */
function compositions(title, functions, sizes, expression, { design = {}, limit }) {
  const costs = sizes.map((size) => {
    const base = use(size, functions, () => '0');
    const { instantiations, seconds } = added(base, use(size, functions, expression(size)));
    const each = instantiations / COPIES;
    row(title, size, each, { design: design[size], ms: (seconds / COPIES) * 1000 });
    return each;
  });
  const [shorter, longer] = [sizes.length - 2, sizes.length - 1];
  row(`${title}: one more`, '', (costs[longer] - costs[shorter]) / (sizes[longer] - sizes[shorter]), {
    limit,
  });
}

const SIZES = [2, 5, 10, 20, 50, 100];
const among = (size, name) => range(size).map(name);
const byDesign = (figures) => Object.fromEntries(SIZES.map((size, index) => [size, figures[index]]));

// A task with an input of five keys, and calls of it.
const schema = (i) =>
  `z.object({ id: z.string(), k${i}: z.number(), tags: z.array(z.string()), opt: z.string().optional(), nested: z.object({ a: z.number(), b${i}: z.boolean() }) })`;
const whole = (i) => `{ id: '', k${i}: 1, tags: [], nested: { a: 1, b${i}: true } }`;
const handled = (i) =>
  `export const t${i} = app.task({ name: 't${i}', input: ${schema(i)}, run: async (x) => ({ n: x.k${i}, id: x.id, list: x.tags }) });`;
const tasks = (count, line) => ({
  'main.ts': `import { createApp } from '@umbel/core';\nimport { z } from 'zod';\nexport const app = createApp({ name: 'a' });\n${lines(count, line)}`,
});

function calls(count) {
  const only = tasks(
    count,
    (i) =>
      `export const s${i} = ${schema(i)}; export declare const i${i}: z.input<typeof s${i}>; export const r${i} = async (x: z.output<typeof s${i}>) => ({ n: x.k${i}, id: x.id, list: x.tags });`,
  );
  const base = tasks(count, handled);
  const per = (title, call, more) => {
    const program = tasks(count, (i) => `${handled(i)} ${call(i)}`);
    const { instantiations, seconds } = added(base, program);
    row(title, count, instantiations / count, { ...more, ms: (seconds / count) * 1000 });
  };
  const task = added(only, base);
  row('app.task(), over its schema', count, task.instantiations / count, {
    limit: 1000,
    design: '550',
    ms: (task.seconds / count) * 1000,
  });
  per('.delay(input)', (i) => `export const d${i} = t${i}.delay(${whole(i)});`, { limit: 50, design: '32' });
  per('.si(input)', (i) => `export const d${i} = t${i}.si(${whole(i)});`, { limit: 40, design: '32' });
  per(
    '.into(key, rest)',
    (i) => `export const d${i} = t${i}.into('k${i}', { id: '', tags: [], nested: { a: 1, b${i}: true } });`,
    { limit: 350, design: '214' },
  );
  per('.s(part)', (i) => `export const d${i} = t${i}.s({ id: '', tags: [] });`, {
    limit: 400,
    design: '354',
  });
  per('.s(part of an object)', (i) => `export const d${i} = t${i}.s({ nested: { a: 1, b${i}: true } });`, {});
  per('.link(callback)', (i) => `export const d${i} = t${i}.link(t${i}.si(${whole(i)}));`, {});
}

/** An application: tasks in one file, two workflows a task in files of fifty, each of them sent. */
function application(count, design) {
  const task = (i) =>
    `export const t${i} = app.task({ name: 't${i}', input: z.object({ id: z.string(), k${i % 7}: z.number(), opt: z.string().optional() }), run: async (x) => ({ id: x.id, k${(i + 1) % 7}: 1, extra: [x.opt ?? ''] }) });`;
  const last = count - (count % 7);
  const workflow = (j) => {
    const t = (k) => `t.t${(j + k) % last}`;
    const input = `{ id: 'x', k${(j % last) % 7}: 1 }`;
    return j % 4 === 3
      ? `export const g${j} = chain(${t(0)}, group({ a: ${t(1)}, b: ${t(1)}.s({ opt: 'y' }), c: ${t(3)}.si({ id: '', k${((j + 3) % last) % 7}: 1 }) })).delay(${input});`
      : `export const c${j} = chain(${[t(0), t(1), `${t(2)}.s({ opt: 'x' })`, t(3), t(4)].join(', ')}).delay(${input});`;
  };
  const files = {
    'tasks.ts': `import { createApp } from '@umbel/core';\nimport { z } from 'zod';\nconst app = createApp({ name: 'a' });\n${lines(count, task)}`,
  };
  const uses = Object.fromEntries(
    range(Math.ceil((count * 2) / 50)).map((file) => [
      `use${file}.ts`,
      `import { chain, group } from '@umbel/canvas';\nimport * as t from './tasks.js';\n${lines(Math.min(50, count * 2), (q) => workflow(file * 50 + q))}`,
    ]),
  );
  const { instantiations, seconds } = measure({ ...files, ...uses });
  row(`${count} tasks, ${count * 2} workflows: in all`, count, instantiations, {
    design,
    ms: seconds * 1000,
  });
}

try {
  console.log(
    `${'instantiations'.padEnd(34)} ${'size'.padStart(6)} ${'each'.padStart(10)} ${'limit'.padStart(8)}       ${'check ms'.padStart(8)}   prototype`,
  );
  compositions('chain(…)', 'chain', SIZES, (size) => (_, t) => `chain(${among(size, t).join(', ')})`, {
    design: byDesign([155, 347, 662, 1292, 3182, 6332]),
    limit: 70,
  });
  compositions(
    'a.pipe(b)…',
    '',
    SIZES,
    (size) => (_, t) => `${t(0)}${among(size - 1, (i) => `.pipe(${t(i + 1)})`).join('')}`,
    { design: byDesign([79, 238, 503, 1033, 2623, 5273]), limit: 70 },
  );
  compositions('group([…])', 'group', SIZES, (size) => (_, t) => `group([${among(size, t).join(', ')}])`, {
    limit: 65,
  });
  compositions(
    'group({…})',
    'group',
    SIZES,
    (size) => (_, t) => `group({ ${among(size, (i) => `a${i}: ${t(i)}`).join(', ')} })`,
    { limit: 65 },
  );
  compositions(
    'group.settled([…])',
    'group',
    [50, 100],
    (size) => (_, t) => `group.settled([${among(size, t).join(', ')}])`,
    { limit: 70 },
  );
  compositions(
    "match('n', { … })",
    'match',
    [10, 20, 50],
    (size) => (_, t) => `match('n', { ${among(size, (i) => `a${i}: ${t(i)}`).join(', ')} })`,
    {},
  );
  calls(100);
  for (const [count, design] of [
    [10, ''],
    [100, '171,000'],
    [1000, '1,690,000'],
  ]) {
    application(count, design);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (rows.some(({ isOver }) => isOver)) process.exitCode = 1;
