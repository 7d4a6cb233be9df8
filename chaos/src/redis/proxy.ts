/** A TCP proxy between workers and Redis, which does to requests and replies what networks and servers do. */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import { commandOf, FrameCutter } from './frames.js';

export type Mischief =
  /** The connection breaks, and the request has not arrived. */
  | { readonly kind: 'cut-before' }
  /** The request has arrived, and the connection breaks before the reply. */
  | { readonly kind: 'cut-after' }
  /** The reply is late, and those after it. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** The server refuses the request. */
  | { readonly kind: 'refuse'; readonly message: string };

/** What is to be done to a request, if anything. */
export type Meddler = (command: string) => Mischief | undefined;

/** Not refused: a connection that cannot be set up is another fault. */
const OF_CONNECTION = new Set(['HELLO', 'AUTH', 'SELECT', 'CLIENT', 'INFO', 'PING', 'QUIT', 'COMMAND']);

export class RedisProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #meddlers = new Set<Meddler>();

  constructor(port: number) {
    this.#server = createServer((client) => {
      const upstream = createConnection(port, '127.0.0.1');
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('close', () => this.#sockets.delete(socket));
      }
      join(client, upstream, (command) => this.#mischief(command));
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
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
    if (OF_CONNECTION.has(command)) return undefined;
    for (const meddler of this.#meddlers) {
      const mischief = meddler(command);
      if (mischief !== undefined) return mischief;
    }
    return undefined;
  }
}

/** A request whose reply the client waits for. */
interface Pending {
  /** The proxy's own reply: the server knows nothing of the request. */
  readonly own?: string;
  /** Given in place of what the server replies. */
  readonly instead?: string;
  readonly mischief?: Mischief | undefined;
}

function join(client: Socket, upstream: Socket, meddler: Meddler): void {
  const pending: Pending[] = [];
  const requests = new FrameCutter();
  const replies = new FrameCutter();
  let isInTransaction = false;
  /** One of the commands of the transaction was refused. */
  let isSpoilt = false;
  const cut = () => {
    client.destroy();
    upstream.destroy();
  };
  /** Replies keep their order: what the proxy answers itself waits for those before it. */
  const answer = () => {
    for (let first = pending[0]; first?.own !== undefined; first = pending[0]) {
      client.write(first.own);
      pending.shift();
    }
  };
  client.on('data', (chunk) => {
    for (const request of requests.push(chunk)) {
      const command = commandOf(request);
      const isOfTransaction = OF_TRANSACTION.has(command);
      const mischief = meddler(command);
      if (mischief?.kind === 'cut-before') return cut();
      // As a server does it: it takes note of the command, and refuses the transaction at its end.
      if (mischief?.kind === 'refuse' && !isOfTransaction) {
        isSpoilt = isInTransaction;
        pending.push({ own: `-${mischief.message}\r\n` });
        answer();
        continue;
      }
      if (command === 'MULTI') isInTransaction = true;
      if (command === 'EXEC' || command === 'DISCARD') isInTransaction = false;
      if (command === 'EXEC' && isSpoilt) {
        isSpoilt = false;
        upstream.write(DISCARD);
        pending.push({ instead: SPOILT });
        continue;
      }
      pending.push({ mischief });
      upstream.write(request);
    }
  });
  upstream.on('data', (chunk) => {
    for (const reply of replies.push(chunk)) {
      if (reply[0] === PUSHED) {
        client.write(reply);
        continue;
      }
      const { mischief, instead } = pending.shift() ?? {};
      if (mischief?.kind === 'cut-after') return cut();
      client.write(instead ?? reply);
      if (mischief?.kind === 'slow') {
        upstream.pause();
        setTimeout(() => upstream.resume(), mischief.ms);
      }
      answer();
    }
  });
  for (const socket of [client, upstream]) {
    socket.on('error', cut);
    socket.on('close', cut);
  }
}

const OF_TRANSACTION = new Set(['MULTI', 'EXEC', 'DISCARD']);
const DISCARD = '*1\r\n$7\r\nDISCARD\r\n';
const SPOILT = '-EXECABORT Transaction discarded because of previous errors.\r\n';

/** `>`: what the server sends unasked. */
const PUSHED = 62;
