/** The examples as processes, as `npm start` runs them, and what their pages say that they print. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'vitest';
import { quickly } from './quick-packages.js';

export const folder = fileURLToPath(new URL('../../examples/', import.meta.url));

/** The numbered ones, in order. */
export const names = readdirSync(folder).filter((name) => /^\d\d-/.test(name));

export const readme = (name: string) => readFileSync(join(folder, name, 'README.md'), 'utf8');

/** The blocks of a page that stand in this language. */
export const blocks = (page: string, language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  );

export interface Running {
  /** All of it, once the process has ended. */
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  /** What it has written by the time that `pattern` fits it; rejects if it ends before. */
  wrote(pattern: RegExp): Promise<string>;
  stop(): void;
}

export interface StartOptions {
  /** The Redis; without it, the engine in memory. */
  url?: string;
  env?: Readonly<Record<string, string>>;
}

/** Those whose frameworks require BullMQ, or the packages: they run where they are. */
const REQUIRING = ['10-nextjs-producer', '11-nestjs', '13-bull-board'];

/** Starts what was built of an example. It does not outlive the test. */
export function start(test: TestContext, name: string, { url, env }: StartOptions = {}): Running {
  const { UMBEL_URL: _, ...inherited } = process.env;
  const child = spawn(process.execPath, ['dist/main.js'], {
    cwd: REQUIRING.includes(name) ? join(folder, name) : quickly(join(folder, name)),
    env: { ...inherited, ...env, ...(url !== undefined && { UMBEL_URL: url }) },
  });
  test.onTestFinished(() => void child.kill('SIGKILL'));
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
    });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...output }));
  const wrote = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => pattern.test(output.stdout) && resolve(output.stdout);
      child.stdout.on('data', look);
      void ended.then(() => reject(new Error(`It ended without writing ${pattern}: ${output.stderr}`)));
      look();
    });
  return { ended, wrote, stop: () => void child.kill('SIGTERM') };
}
