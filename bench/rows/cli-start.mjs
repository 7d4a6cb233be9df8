// What a command of the command line takes to start and to end, beside bare Node and the import of @umbel/core.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { startRedis } from '../run/redis-server.mjs';
import { summary } from '../run/statistics.mjs';

const main = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));
const meter = fileURLToPath(new URL('../run/cpu-at-exit.mjs', import.meta.url));
/** Processor time: of `--version` and `--help` beyond bare Node, which differs by machine. */
const MOST_MS = 60;
/** Of other commands, in times of the import of the core. */
const MOST_TIMES = 1.5;
const JOBS = 50;

const named = (...words) => [main, ...words, '--name', 'bench-cli'];
const STARTS = {
  node: ['-e', '0'],
  core: ['--input-type=module', '-e', "await import('@umbel/core')"],
  '--version': [main, '--version'],
  '--help': [main, '--help'],
  status: named('status'),
  top: named('top', '--interval', '100ms', '--count', '1'),
  'jobs list': named('jobs', 'list'),
  'runs list': named('runs', 'list'),
  'inspect ping': named('inspect', 'ping'),
};
const COMMANDS = Object.keys(STARTS).filter(
  (name) => !['node', 'core', '--version', '--help'].includes(name),
);

export const row = {
  title: 'processor time of a command of the command line, and the commands that it sends to Redis',
  async measure({ quick, say }) {
    const rounds = quick ? 3 : 15;
    const redis = await startRedis({ durable: false });
    const client = new Redis(redis.url);
    const quiet = { info() {}, warn() {}, error: console.error };
    const app = createApp({ name: 'bench-cli', connection: redis.url, logger: quiet });
    const work = app.task({ name: 'work', run: async () => null });
    try {
      await app.worker({ handleSignals: false }).start();
      const sent = await Promise.all(Array.from({ length: JOBS }, () => work.delay()));
      await Promise.all(sent.map((result) => result.get()));
      const figures = Object.fromEntries(
        Object.keys(STARTS).map((name) => [name, { cpuMs: [], wallMs: [], commands: [] }]),
      );
      for (let round = 0; round < rounds; round += 1) {
        for (const [name, args] of Object.entries(STARTS)) {
          const before = await commandsOf(client);
          const { cpuMs, wallMs } = await run(args, redis.url);
          figures[name].cpuMs.push(cpuMs);
          figures[name].wallMs.push(wallMs);
          figures[name].commands.push((await commandsOf(client)) - before);
        }
        say(`cli-start: round ${round + 1} of ${rounds}`);
      }
      return Object.fromEntries(
        Object.entries(figures).map(([name, { cpuMs, wallMs, commands }]) => [
          name,
          {
            cpuMs: summary(cpuMs).median,
            wallMs: summary(wallMs).median,
            // Of a worker that looks for jobs meanwhile, too: the least is nearest to the command's own.
            commands: Math.min(...commands),
          },
        ]),
      );
    } finally {
      await app.close();
      client.disconnect();
      await redis.stop();
    }
  },
  lines: (figures) =>
    Object.entries(figures).map(
      ([name, { cpuMs, wallMs, commands }]) =>
        `${name.padEnd(14)} ${cpuMs.toFixed(0).padStart(5)} ms of CPU (${(cpuMs / figures.core.cpuMs).toFixed(2)} × the core), ` +
        `${wallMs.toFixed(0).padStart(5)} ms, ${commands} commands`,
    ),
  judge: (figures) => [
    ...['--version', '--help'].map((name) => {
      const reached = figures[name].cpuMs - figures.node.cpuMs;
      const what = `processor time of ${name} beyond bare Node`;
      return { what, reached, most: MOST_MS, unit: 'ms', met: reached <= MOST_MS };
    }),
    ...COMMANDS.map((name) => {
      const reached = figures[name].cpuMs / figures.core.cpuMs;
      const what = `processor time of ${name} beside the import of the core`;
      return { what, reached, most: MOST_TIMES, unit: '×', met: reached <= MOST_TIMES };
    }),
  ],
};

/** Runs Node to its end. */
async function run(args, url) {
  const startedAt = performance.now();
  const child = spawn(process.execPath, ['--import', meter, ...args], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { PATH: process.env.PATH, HOME: process.env.HOME, UMBEL_URL: url },
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stdio[3].setEncoding('utf8').on('data', (part) => {
    text += part;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`node ${args.join(' ')} ended with ${code}`);
  return { cpuMs: Number(text), wallMs: performance.now() - startedAt };
}

async function commandsOf(client) {
  return Number(/total_commands_processed:(\d+)/.exec(await client.info('stats'))?.[1]);
}
