/** A TCP proxy between workers and the store, which does to requests and replies what networks and servers do. */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';

export type Mischief =
  /** The connection breaks, and the request has not arrived. */
  | { readonly kind: 'cut-before' }
  /** The request has arrived, and the connection breaks before the reply. */
  | { readonly kind: 'cut-after' }
  /** The reply is late, and those after it. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** The server refuses the request. The message begins with the code of the error. */
  | { readonly kind: 'refuse'; readonly message: string };

/** What is to be done to a request, if anything. */
export type Meddler = (command: string) => Mischief | undefined;

/** Hands on what passes between a client and the server, and does to requests what `meddler` says. */
export type Relay = (client: Socket, upstream: Socket, meddler: Meddler) => void;

export class StoreProxy {
  readonly #server: Server;
  readonly #url: string;
  readonly #sockets = new Set<Socket>();
  readonly #meddlers = new Set<Meddler>();

  /** @param url The server's. */
  constructor(url: string, relay: Relay) {
    this.#url = url;
    const { hostname, port } = new URL(url);
    this.#server = createServer((client) => {
      const upstream = createConnection(Number(port), hostname);
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('close', () => this.#sockets.delete(socket));
      }
      relay(client, upstream, (command) => this.#mischief(command));
    });
  }

  /** Resolves with the URL by which clients reach the server through the proxy. */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const url = new URL(this.#url);
    url.hostname = '127.0.0.1';
    url.port = `${(this.#server.address() as AddressInfo).port}`;
    return url.href;
  }

  /** Lets `meddler` decide what becomes of each request, until the function that is given is called. */
  meddle(meddler: Meddler): () => void {
    this.#meddlers.add(meddler);
    return () => {
      this.#meddlers.delete(meddler);
    };
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #mischief(command: string): Mischief | undefined {
    for (const meddler of this.#meddlers) {
      const mischief = meddler(command);
      if (mischief !== undefined) return mischief;
    }
    return undefined;
  }
}

/** Ends both connections when one of them ends. Returns a function that ends them. */
export function joined(client: Socket, upstream: Socket): () => void {
  const cut = () => {
    client.destroy();
    upstream.destroy();
  };
  for (const socket of [client, upstream]) {
    socket.on('error', cut);
    socket.on('close', cut);
  }
  return cut;
}
