// A network with a delay between this program and a server on this machine: a TCP proxy in a process of its own, so that
// the program that is measured does not do its work. `node run/delayed-network.mjs <port> <ms each way>` says its port.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A URL by which `url` is reached over a network that takes `ms` each way, and `stop`. */
export async function delayedNetwork(url, ms) {
  const { port, protocol } = new URL(url);
  const path = fileURLToPath(import.meta.url);
  const proxy = spawn(process.execPath, [path, port, `${ms}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = () => proxy.kill('SIGKILL');
  process.once('exit', end);
  const [line] = await once(createInterface(proxy.stdout), 'line');
  return {
    url: `${protocol}//127.0.0.1:${line}`,
    async stop() {
      process.off('exit', end);
      const exited = once(proxy, 'exit');
      end();
      await exited;
    },
  };
}

/** Passes on what comes, in its order, `ms` later. */
function pipeDelayed(from, to, ms) {
  from.on('data', (chunk) => setTimeout(() => to.write(chunk), ms));
  from.on('close', () => setTimeout(() => to.destroy(), ms));
  from.on('error', () => {});
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port, ms] = process.argv.slice(2).map(Number);
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = createConnection({ port, host: '127.0.0.1', noDelay: true });
    pipeDelayed(client, upstream, ms);
    pipeDelayed(upstream, client, ms);
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}
