/** What a proxy does to the requests and replies of Redis. */
import type { Socket } from 'node:net';
import { joined, type Meddler, type Mischief, StoreProxy } from '../proxy.js';
import { commandOf, FrameCutter } from './frames.js';

/** Not refused: a connection that cannot be set up is another fault. */
const OF_CONNECTION = new Set(['HELLO', 'AUTH', 'SELECT', 'CLIENT', 'INFO', 'PING', 'QUIT', 'COMMAND']);

export class RedisProxy extends StoreProxy {
  constructor(port: number) {
    super(`redis://127.0.0.1:${port}`, relay);
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

function relay(client: Socket, upstream: Socket, meddler: Meddler): void {
  const pending: Pending[] = [];
  const requests = new FrameCutter();
  const replies = new FrameCutter();
  let isInTransaction = false;
  /** One of the commands of the transaction was refused. */
  let isSpoilt = false;
  const cut = joined(client, upstream);
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
      const mischief = OF_CONNECTION.has(command) ? undefined : meddler(command);
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
}

const OF_TRANSACTION = new Set(['MULTI', 'EXEC', 'DISCARD']);
const DISCARD = '*1\r\n$7\r\nDISCARD\r\n';
const SPOILT = '-EXECABORT Transaction discarded because of previous errors.\r\n';

/** `>`: what the server sends unasked. */
const PUSHED = 62;
