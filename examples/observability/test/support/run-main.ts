import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A line that the example has logged. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  /** Of lines about an attempt. */
  readonly jobId?: string;
  readonly task: string;
  readonly attempt: number;
  readonly runId?: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly durationMs?: number;
  readonly err?: { readonly message: string; readonly stack: string };
  readonly reason?: string;
}

/** One tree of spans; each line without how long it took. */
export interface Trace {
  readonly id: string;
  readonly lines: readonly string[];
}

/** Runs `dist/main.js`, which `npm test` has built, to its end. @throws if its exit code is not 0. */
export async function runMain(env: NodeJS.ProcessEnv): Promise<{ log: LogLine[]; traces: Trace[] }> {
  const file = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
  const { UMBEL_URL: _, ...inherited } = process.env;
  const { stdout } = await promisify(execFile)(process.execPath, [file], { env: { ...inherited, ...env } });
  const [log = '', ...trees] = stdout.trim().split('\n\n');
  return {
    log: log.split('\n').map((line) => JSON.parse(line) as LogLine),
    traces: trees.map((tree) => {
      const [first = '', ...lines] = tree.split('\n');
      return {
        id: first.replace(/^trace /, ''),
        lines: lines.map((line) => line.replace(/ · [\d.]+ ms/, '')),
      };
    }),
  };
}
