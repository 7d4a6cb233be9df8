/** What a proxy does to the requests and replies of PostgreSQL. */
import type { Socket } from 'node:net';
import { joined, type Meddler, type Mischief, StoreProxy } from '../proxy.js';
import { errorOf, type Message, MessageCutter, READY, readyStateOf, statementOf } from './messages.js';

export class PostgresProxy extends StoreProxy {
  constructor(url: string) {
    super(url, relay);
  }
}

/** Types of messages of a request. The start of a session, a password and its end are none. */
const PARTS = new Set(['P', 'B', 'D', 'E', 'C', 'H', 'S', 'Q']);
/** Those that end a request: of one with parameters, and of one without. */
const ENDS = new Set(['S', 'Q']);
/** Not refused: transactions of the client, and what a connection is set up with. */
const OF_SESSION = /^(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|SET|LISTEN|UNLISTEN)\b/i;

/** The client has one request under way at a time, as `pg` has. */
function relay(client: Socket, upstream: Socket, meddler: Meddler): void {
  const cut = joined(client, upstream);
  const requests = new MessageCutter({ hasStart: true });
  const replies = new MessageCutter({ hasStart: false });
  let request: Message[] = [];
  let mischief: Mischief | undefined;
  let isIdle = false;
  const send = (statement: string) => {
    const parts = request;
    request = [];
    const canStrike = isIdle && !OF_SESSION.test(statement);
    mischief = canStrike ? meddler(commandOf(statement)) : undefined;
    if (mischief?.kind === 'cut-before') return cut();
    if (mischief?.kind === 'refuse') {
      client.write(errorOf(mischief.message));
      return;
    }
    isIdle = false;
    for (const { bytes } of parts) upstream.write(bytes);
  };
  client.on('data', (chunk) => {
    for (const message of requests.push(chunk)) {
      if (!PARTS.has(message.type)) {
        upstream.write(message.bytes);
        continue;
      }
      request.push(message);
      if (ENDS.has(message.type)) send(request.map(statementOf).find((text) => text !== '') ?? '');
    }
  });
  upstream.on('data', (chunk) => {
    for (const { type, bytes } of replies.push(chunk)) {
      // Until the server is ready again, the client does not know whether the statement was committed.
      if (mischief?.kind === 'cut-after') {
        if (type === READY) return cut();
        continue;
      }
      client.write(bytes);
      if (type !== READY) continue;
      isIdle = readyStateOf(bytes) === 'I';
      if (mischief?.kind === 'slow') {
        upstream.pause();
        setTimeout(() => upstream.resume(), mischief.ms);
      }
      mischief = undefined;
    }
  });
}

/** Returns a short name of a statement: its function, or its first word. */
function commandOf(statement: string): string {
  const text = statement.replaceAll(/--.*$/gm, '').trim();
  return /\b([a-z_]+)\(\$1/.exec(text)?.[1] ?? text.split(/\s/, 1)[0] ?? '';
}
