/** Whether a worker lives and takes jobs, for whoever starts and stops it. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface WorkerHealth {
  /** False for one that does not take jobs though it should, and has no reason to: it is best started anew. */
  readonly live: boolean;
  /** Whether it takes jobs: it has started, is not closing, and reaches its store. */
  readonly ready: boolean;
  /** Why it is not live or not ready. */
  readonly reasons: readonly string[];
}

export interface HealthFacts {
  readonly state: 'new' | 'starting' | 'running' | 'closing' | 'closed';
  /** Whether the store has answered just now. */
  readonly isStoreReached: boolean;
  /** Queues that were not asked for jobs lately though there was room for one, each with how long ago it was. */
  readonly idleQueues: readonly { readonly queue: string; readonly idleMs: number }[];
}

/** Judges a worker. A store that is away is no reason to start a worker anew. */
export function healthOf({ state, isStoreReached, idleQueues }: HealthFacts): WorkerHealth {
  const reasons: string[] = [];
  if (state !== 'running') reasons.push(`the worker is ${state}`);
  const isReached = state === 'new' || state === 'closed' || isStoreReached;
  if (!isReached) reasons.push('the store does not answer');
  for (const { queue, idleMs } of idleQueues)
    reasons.push(`queue "${queue}" was not asked for jobs for ${Math.round(idleMs / 1000)} s`);
  return {
    live: state !== 'closed' && idleQueues.length === 0,
    ready: state === 'running' && isReached && idleQueues.length === 0,
    reasons,
  };
}

/** Metrics as text, for whoever collects them. */
export interface MetricsSource {
  /** For the header `content-type`. */
  readonly contentType: string;
  /** The metrics as they are now. */
  text(): Promise<string>;
  /** The same as plain data, in a process of a worker that has several. */
  json?(): Promise<readonly unknown[]>;
  /** What those of several processes are as one, as text. Without these two, only those of the first process are given. */
  together?(processes: readonly (readonly unknown[])[]): Promise<string>;
}

const { setTimeout, clearTimeout } = globalThis;

/** How long whoever connects may take to say what it wants. */
const REQUEST_MS = 10_000;
/** How long an answer that is under way may keep the server from closing: more than asking the store takes. */
const ANSWER_MS = 3000;

/**
 * Answers `/livez` and `/readyz` until it is closed, and `/metrics` if there are any. Neither it nor who is connected to
 * it keeps the process alive.
 * @throws the server's error if the port cannot be had.
 */
export class HealthServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #answering = 0;
  #closing: Promise<void> | undefined;

  constructor(health: () => Promise<WorkerHealth>, metrics?: MetricsSource) {
    const paths = ['/livez', '/readyz', ...(metrics === undefined ? [] : ['/metrics'])];
    const limits = {
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: REQUEST_MS / 2,
    };
    this.#server = createServer(limits, (request, response) => {
      this.#note(response);
      const path = request.url?.split('?', 1)[0];
      const kind = path === '/livez' ? 'live' : path === '/readyz' ? 'ready' : undefined;
      response.setHeader('content-type', 'application/json');
      response.setHeader('connection', 'close'); // probes come one at a time, and nothing is to keep the server open
      if (path === '/metrics' && metrics !== undefined) {
        void answerMetrics(response, metrics);
        return;
      }
      if (kind === undefined) {
        response.writeHead(404).end(`${JSON.stringify({ error: `there are ${paths.join(', ')}` })}\n`);
        return;
      }
      void health().then((found) => {
        response.writeHead(found[kind] ? 200 : 503).end(`${JSON.stringify(found)}\n`);
      });
    });
    this.#server.unref();
    this.#server.on('connection', (socket) => {
      socket.unref();
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** The port, once it listens. */
  listen(port: number, host: string | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.once('close', () => resolve(port)); // before it has listened, which it never does then
      this.#server.listen({ port, host }, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
        // It may have been closed while the name of the host was looked up.
        if (this.#closing !== undefined) this.#server.close();
      });
    });
  }

  /** Ends every connection: those with an answer under way once that has gone out, or has taken too long. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    if (this.#answering === 0) this.#destroyAll();
    const timer = setTimeout(() => this.#destroyAll(), ANSWER_MS);
    await closed;
    clearTimeout(timer);
  }

  /** Who has said nothing yet is not known to the HTTP server as idle, so sockets are destroyed here. */
  #destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #note(response: ServerResponse): void {
    this.#answering += 1;
    response.once('close', () => {
      this.#answering -= 1;
      if (this.#closing !== undefined && this.#answering === 0) this.#destroyAll();
    });
  }
}

async function answerMetrics(response: ServerResponse, metrics: MetricsSource): Promise<void> {
  try {
    const text = await metrics.text();
    response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
  } catch {
    response.writeHead(500).end('{"error":"the metrics cannot be given"}\n'); // why is not for whoever asks
  }
}
