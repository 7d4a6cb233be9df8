// Processes that are killed with all their children, and the sender that is spoken to in lines.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const running = new Set();
process.once('exit', () => {
  for (const { pid } of running) killGroup(pid);
});
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => process.exit(code)); // so that nothing it has started outlives the driver
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it has ended by itself
  }
}

/** Starts a program as the leader of a process group. What it writes to stderr goes to the file `log`. */
function start({ command, args, env, log }) {
  const child = spawn(command, args, {
    cwd: import.meta.dirname,
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stderr.on('data', (data) => appendFileSync(log, data));
  child.stdin.on('error', () => {});
  running.add(child);
  const exited = once(child, 'exit').finally(() => running.delete(child));
  return {
    child,
    lines: createInterface(child.stdout),
    async kill() {
      killGroup(child.pid);
      await exited;
    },
    exited,
  };
}

/** Starts a worker. `ready` resolves when it serves: a worker says so with a line. */
export function startWorker(program) {
  const { child, lines, kill, exited } = start(program);
  const ready = Promise.race([
    new Promise((resolve) => lines.on('line', (line) => line === 'ready' && resolve())),
    exited.then(([code, signal]) => {
      if (signal !== 'SIGKILL')
        throw new Error(`a worker ended by itself with ${code ?? signal}: ${program.log}`);
    }),
  ]);
  ready.catch(() => {}); // thrown where it is waited for
  return { pid: child.pid, ready, kill };
}

/** Starts a sender; `ask` sends it a request and gives its answer. */
export function startSender(program) {
  const { child, lines, kill, exited } = start(program);
  const answers = lines[Symbol.asyncIterator]();
  return {
    async ask(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error(`the sender ended: ${program.log}`);
      return JSON.parse(value);
    },
    async stop() {
      child.stdin.end();
      await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, 3000, undefined))]);
      await kill();
    },
  };
}
