/** Celery as Debian packages it: `python3-celery` and `python3-redis`, for the Python of the system. */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const programs = fileURLToPath(new URL('../python', import.meta.url));

/** The first Python that has Celery. Another one may be the first of the PATH. */
const PYTHON = ['/usr/bin/python3', 'python3'].find(
  (program) => spawnSync(program, ['-c', 'import celery, redis']).status === 0,
);

export const hasCelery = PYTHON !== undefined;

/** Python programs of one Redis. They import `billing` of the example and `edge_cases` of this folder. */
export class CeleryPrograms {
  readonly #options: { cwd: string; env: NodeJS.ProcessEnv };

  constructor(redisUrl: string, timeZone = 'UTC') {
    this.#options = {
      cwd: programs,
      env: {
        ...process.env,
        UMBEL_URL: redisUrl,
        PYTHONPATH: here,
        PYTHONDONTWRITEBYTECODE: '1',
        TZ: timeZone,
      },
    };
  }

  /** Runs a program, and returns what it prints. */
  async run(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(PYTHON ?? '', args, this.#options);
    return stdout;
  }

  /** Runs code after `from edge_cases import *`, and returns what it passes to `answer`. */
  async evaluate(code: string): Promise<unknown> {
    return JSON.parse(await this.run('-c', `from edge_cases import *\n${code}`));
  }

  /** Starts a worker of the tasks of `edge_cases`. Resolves when it takes tasks, with a function that ends it. */
  async startWorker(): Promise<() => Promise<void>> {
    const quick = ['--pool', 'solo', '--without-mingle', '--without-gossip', '--without-heartbeat'];
    const args = ['-m', 'celery', '--app', 'edge_cases', 'worker', '--loglevel', 'info', ...quick];
    const worker = spawn(PYTHON ?? '', args, { ...this.#options, stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(worker, 'close');
    let log = '';
    await new Promise<void>((resolve, reject) => {
      worker.stderr.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        if (/ ready\.$/m.test(log)) resolve();
      });
      ended.then(() => reject(new Error(`The Celery worker did not start: ${log}`)));
    });
    return async () => {
      worker.kill('SIGKILL');
      await ended;
    };
  }
}
