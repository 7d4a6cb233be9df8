/** `@umbel/dashboard/node`: serves a dashboard with `node:http`, Express and Fastify. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { Dashboard } from './index.js';

/**
 * Returns a handler for `node:http`, Express and other servers with the objects of Node. It works before and after a parser
 * of JSON bodies.
 * @example
 * const handle = nodeHandler(dashboard(app, { basePath: '/dashboard', authorize }));
 * createServer(handle).listen(8080, '127.0.0.1'); // node:http
 * expressApp.use('/dashboard', handle); // Express
 * fastifyApp.all('/dashboard/*', async (request, reply) => { // Fastify, which parses the body first
 *   reply.hijack();
 *   await handle(Object.assign(request.raw, { body: request.body }), reply.raw);
 * });
 */
export function nodeHandler(
  dashboard: Dashboard,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  // Without it, a global `Response` of the server would be replaced.
  const listener = getRequestListener((request) => dashboard.fetch(request), {
    overrideGlobalObjects: false,
  });
  return async (request, response) => {
    const parsed = request as IncomingMessage & { body?: unknown; rawBody?: Buffer };
    // A parser has consumed the body: the listener reads it from here.
    if (parsed.body !== undefined && parsed.rawBody === undefined && request.readableEnded)
      parsed.rawBody = Buffer.from(JSON.stringify(parsed.body));
    await listener(request, response);
  };
}
