/**
 * A project of a user: a folder with its own packages and modules. Commands run there as processes; those that load no
 * module of the user run in this process, because starting one takes ten times as long as the command.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type App, type AppOptions, createApp } from '@umbel/core';
import { inject, onTestFinished, vi } from 'vitest';
import { runProgram } from '../../src/program.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input. */
  readonly input?: string;
}

interface Project {
  readonly folder: string;
  /** Of its app. */
  readonly name: string;
  write(path: string, text: string): void;
  /** Runs a command to its end. Commands with `--name` run one after the other. */
  umbel(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** Starts a command. */
  start(args: readonly string[], options?: RunOptions): Running;
  /** The same app in this process. */
  app(options?: Partial<AppOptions>): App;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Until it has printed this, on stdout or stderr. */
  prints(text: string | RegExp): Promise<void>;
}

/** `checked`: from where it is imported. */
const MODULE = (name: string, checked: string) => `import { createApp } from '@umbel/core';
import { chain, group } from '@umbel/canvas';
import { z } from 'zod';
import { checked } from '${checked}';

console.log('loaded');
export const app = createApp({ name: '${name}' });

export const add = app.task({
  name: 'add',
  input: z.object({ a: z.number(), b: z.number() }),
  run: ({ a, b }) => ({ sum: checked(a) + b }),
});

export const double = app.task({
  name: 'double',
  input: z.object({ sum: z.number() }),
  run: ({ sum }) => sum * 2,
});

export const held = app.task({
  name: 'held',
  queue: 'slow',
  input: z.object({ ms: z.number() }),
  run: async ({ ms }, ctx) => {
    await ctx.progress({ percent: 50 });
    await new Promise((resolve) => setTimeout(resolve, ms));
    return 'done';
  },
});

export const pipeline = chain(add, double);
export const pair = group({ one: add.s({ a: 1 }), two: add.s({ a: 2 }) });
`;

const APART = `
export const apart = app.task({ name: 'apart', isolate: import.meta.url, run: () => process.pid });
`;

/** Needs what only a compiler of TypeScript reads. */
const CHECKED = `export enum Least { Zero = 0 }

export const checked = (n: number): number => {
  if (n < Least.Zero) throw new RangeError(\`negative: \${n}\`);
  return n;
};
`;

/** The same in JavaScript, which Node loads itself: a command that need not load a compiler takes half of the time. */
const CHECKED_JAVASCRIPT = `export const checked = (n) => {
  if (n < 0) throw new RangeError(\`negative: \${n}\`);
  return n;
};
`;

interface ProjectOptions {
  /** The packages as they were built, which isolated tasks need; default: those that load quickly. */
  readonly built?: boolean;
}

/** A folder with `tasks.ts`, and the same tasks in `tasks.mjs`; it is removed, and what runs in it killed, after the test. */
export function project({ built = false }: ProjectOptions = {}): Project {
  const quick = join(inject('quickFolder'), 'node_modules');
  const program = built ? join(root, 'packages/cli/dist/main.js') : join(quick, 'umbel/dist/main.js');
  const folder = mkdtempSync(join(tmpdir(), 'umbel-cli-'));
  const name = `cli-${randomUUID()}`;
  const children = new Set<ChildProcess>();
  const apps: App[] = [];
  onTestFinished(async () => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(apps.map((app) => app.close()));
    rmSync(folder, { recursive: true, force: true });
  });
  for (const each of ['core', 'canvas', 'testing'])
    link(built ? join(root, 'packages', each) : join(quick, '@umbel', each), `@umbel/${each}`);
  link(built ? join(root, 'packages/cli') : join(quick, 'umbel'), 'umbel');
  link(join(built ? join(root, 'node_modules') : quick, 'zod'), 'zod');
  const write = (path: string, text: string) => writeFileSync(join(folder, path), text);
  write('package.json', '{ "type": "module" }\n');
  const tasks = MODULE(name, './checked.js');
  write('tasks.ts', built ? tasks + APART : tasks);
  write('checked.ts', CHECKED);
  write('tasks.mjs', MODULE(name, './checked.mjs'));
  write('checked.mjs', CHECKED_JAVASCRIPT);

  function link(path: string, as: string): void {
    const target = join(folder, 'node_modules', as);
    mkdirSync(dirname(target), { recursive: true });
    symlinkSync(path, target);
  }

  const environment = (env: RunOptions['env']) => ({
    PATH: process.env.PATH,
    HOME: folder,
    UMBEL_URL: inject('redisUrl'),
    ...env,
  });

  function start(args: readonly string[], { env, input }: RunOptions = {}): Running {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: folder,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: environment(env),
    });
    children.add(child);
    if (input !== undefined) child.stdin?.end(input);
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const ended = once(child, 'close').then(([code]) => {
      children.delete(child);
      return { code: code as number | null, stdout, stderr };
    });
    const prints = async (text: string | RegExp) => {
      const isThere = () =>
        typeof text === 'string' ? `${stdout}${stderr}`.includes(text) : text.test(stdout + stderr);
      await vi.waitFor(
        () => {
          if (!isThere()) throw new Error(`${String(text)} was not printed:\n${stdout}\n${stderr}`);
        },
        { timeout: 25_000, interval: 10 },
      );
    };
    return { child, ended, prints, stdout: () => stdout, stderr: () => stderr };
  }

  return {
    folder,
    name,
    write,
    start,
    umbel: (args, options = {}) => {
      // `call --name` loads the copy of @umbel/core that the folder has.
      const loadsModules =
        args[0] === 'call' ||
        !args.includes('--name') ||
        args.some((argument) => /^(-A|--app$|\.\/)/.test(argument));
      const needsProcess = built || options.input !== undefined || options.env?.NODE_OPTIONS !== undefined;
      return loadsModules || needsProcess
        ? start(args, options).ended
        : runHere(args, { folder, env: environment(options.env) });
    },
    app: (options) => {
      const app = createApp({ name, connection: inject('redisUrl'), ...options });
      apps.push(app);
      return app;
    },
  };
}

interface Surroundings {
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Where copies of @umbel/core note each other: the command loads that of the folder. */
const copies = globalThis as { [key: symbol]: unknown };
const COPIES = Symbol.for('umbel.copies');

/** The last command in this process: a command has the streams, the environment and the folder of the process to itself. */
let lastHere: Promise<unknown> = Promise.resolve();

function runHere(args: readonly string[], { folder, env }: Surroundings): Promise<Ended> {
  const ended = lastHere.then(async () => {
    const texts = { stdout: '', stderr: '' };
    const [folderBefore, envBefore, copiesBefore] = [process.cwd(), process.env, copies[COPIES]];
    const writes = (['stdout', 'stderr'] as const).map((name) =>
      vi.spyOn(process[name], 'write').mockImplementation((text) => {
        texts[name] += String(text);
        return true;
      }),
    );
    process.chdir(folder);
    process.env = { ...env };
    copies[COPIES] = undefined;
    try {
      return { code: await runProgram(args), ...texts };
    } finally {
      process.env = envBefore;
      copies[COPIES] = copiesBefore;
      process.chdir(folderBefore);
      for (const write of writes) write.mockRestore();
    }
  });
  lastHere = ended.catch(() => {});
  return ended;
}

/** The documents of a text, one a line. */
export function documents(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
