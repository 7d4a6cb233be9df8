/** Serves the dashboard of an app on this machine, for `umbel dashboard` and `umbel dev`. */
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { App } from '@umbel/core';
import { CliError, EXIT } from './errors.js';
import { requirePackage } from './modules.js';
import { cleanLine, type Output } from './output.js';

export interface DashboardServerOptions {
  readonly app: App;
  /** The folder from which the package is resolved. */
  readonly folder: string;
  /** 0: any free port. */
  readonly port: number;
  readonly readOnly?: boolean;
  /** The address of a trace, with `{traceId}` in it. */
  readonly traceUrl?: string | undefined;
  readonly out: Output;
}

export interface DashboardServer {
  /** Opens the page: it contains the token. */
  readonly url: string;
  close(): Promise<void>;
}

export const DEFAULT_PORT = 7117;
export const MAX_PORT = 65_535;

const HOST = '127.0.0.1';
const TOKEN_BYTES = 24;

/** Starts to serve. @throws {CliError} if the package is not installed, or the port is used. */
export async function startDashboard({
  app,
  folder,
  port,
  readOnly = false,
  traceUrl,
  out,
}: DashboardServerOptions): Promise<DashboardServer> {
  const { dashboard, nodeHandler } = await loadDashboard(folder);
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const served = dashboard(app, {
    token,
    readOnly,
    traceUrl,
    onAction: ({ action, target, outcome, error = '' }) =>
      out.note(cleanLine(`dashboard: ${action} ${target.id ?? target.kind}: ${outcome} ${error}`.trim())),
  });
  const handle = nodeHandler(served);
  const server = createServer((request, response) => void handle(request, response));
  await listen(server, port);
  const { port: chosen } = server.address() as AddressInfo;
  return {
    url: `http://${HOST}:${chosen}/?token=${token}`,
    async close() {
      served.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function loadDashboard(folder: string) {
  const missing = {
    what: 'The dashboard is not installed.',
    why: 'It is a package of its own: @umbel/dashboard.',
  };
  const [{ dashboard }, { nodeHandler }] = await Promise.all([
    requirePackage('@umbel/dashboard', folder, missing),
    requirePackage('@umbel/dashboard/node', folder, missing),
  ]);
  return { dashboard, nodeHandler };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new CliError(
          {
            exitCode: EXIT.usage,
            what: `The dashboard cannot listen on port ${port}.`,
            why: error.message,
            hint: 'Choose another one with --port, or any free one with --port 0.',
          },
          { cause: error },
        ),
      ),
    );
    server.listen(port, HOST);
  });
}
