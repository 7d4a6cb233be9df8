// A system under test in a process of its own, which is spoken to in lines of JSON.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const running = new Set();
process.once('exit', () => {
  for (const child of running) killGroup(child);
});
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => process.exit(code)); // so that nothing it has started outlives this process
}

function killGroup({ pid }) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it has ended by itself
  }
}

const STDERR_KEPT = 4000;

/** Answers one request at a time. It and what it has started is killed when an answer takes too long. */
export class Peer {
  #child;
  #exited;
  #lines;
  #stderr = '';

  constructor({ command, args, env, cwd = new URL('..', import.meta.url) }) {
    this.#child = spawn(command, args, {
      cwd,
      detached: true, // a process group of its own
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running.add(this.#child);
    this.#exited = once(this.#child, 'exit').finally(() => running.delete(this.#child));
    this.#exited.catch(() => {}); // told where an answer is waited for
    this.#child.stdin.on('error', () => {});
    this.#child.stderr.on('data', (data) => {
      this.#stderr = `${this.#stderr}${data}`.slice(-STDERR_KEPT);
    });
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** The answer. @throws if it is none within `limitMs`, or the answer is an error. */
  async ask(request, limitMs) {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${limitMs / 1000} s`)), limitMs);
    });
    try {
      return await Promise.race([this.#answer(), late]);
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the process and what it has started. */
  async stop() {
    if (!running.has(this.#child)) return;
    killGroup(this.#child);
    await this.#exited.catch(() => {});
  }

  async #answer() {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`it ended by itself: ${this.#stderr.trim() || 'without a word'}`);
      if (!value.startsWith('{')) continue; // not for us
      const answer = JSON.parse(value);
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    }
  }
}
