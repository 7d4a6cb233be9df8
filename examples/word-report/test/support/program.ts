/** The example's programs as child processes, and folders of documents for them. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { quickly } from '../../../../test/support/quick-packages.js';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  readonly ended: Promise<Ended>;
  /** Resolves once the program has written this; rejects if it ends before. */
  wrote(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts `dist/<name>.js`, which `npm test` has built. It does not outlive the test. */
export function start(
  name: 'main' | 'worker',
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Program {
  const file = join(
    quickly(fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')),
    `dist/${name}.js`,
  );
  const { UMBEL_URL: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [file, ...args], { env: { ...inherited, ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
    });
  }
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, ...output })));
  const wrote = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => (output.stdout + output.stderr).includes(text) && resolve();
      child.stdout.on('data', look);
      child.stderr.on('data', look);
      child.once('close', () => reject(new Error(`It ended without writing "${text}": ${output.stderr}`)));
      look();
    });
  return { ended, wrote, kill: (signal) => void child.kill(signal) };
}

/** Runs `dist/main.js` to its end. */
export function demo(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return start('main', args, env).ended;
}

/** A new folder that holds these files, for the length of the test. */
export function folderOf(files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-word-report-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  return folder;
}
