/** A browser for tests of the page, and servers of dashboards for it. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type DashboardOptions, dashboard } from '../../src/index.js';
import { nodeHandler } from '../../src/node.js';
import { findChromium } from './chromium.js';

export const DESKTOP = { width: 1360, height: 860 };

interface OpenedPage {
  readonly page: Page;
  /** Everything that a page must not do: errors, and requests to other hosts. */
  readonly problems: string[];
}

/** Starts a browser for the tests of a file. Servers and pages end after each test. */
export function useBrowser() {
  const program = findChromium();
  const servers: Server[] = [];
  let browser: Browser | undefined;
  const started = (): Browser => {
    if (browser === undefined) throw new Error('The browser has not started.');
    return browser;
  };
  beforeAll(async () => {
    if (program === undefined) return;
    browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-gpu'] });
  });
  afterAll(() => browser?.close());
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  /** Serves a dashboard. Returns its address, without a slash at the end. */
  async function serve(
    app: Parameters<typeof dashboard>[0],
    basePath: string,
    options: DashboardOptions = {},
  ): Promise<string> {
    const handle = nodeHandler(dashboard(app, { basePath, onAction: () => {}, ...options }));
    const server = createServer((request, response) => void handle(request, response));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}${basePath}`;
  }

  async function open(address: string): Promise<OpenedPage> {
    const page = await started().newPage({ viewport: DESKTOP, colorScheme: 'light' });
    page.setDefaultTimeout(30_000);
    const problems: string[] = [];
    page.on('console', (message) => {
      // The answers to wrong inputs are expected; the browser logs them as errors.
      const isAnswer = /Failed to load resource: .* (?:4\d\d)/.test(message.text());
      if (message.type() === 'error' && !isAnswer) problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    const { origin } = new URL(address);
    page.on('request', (request) => {
      if (!request.url().startsWith(origin)) problems.push(`request to ${request.url()}`);
    });
    return { page, problems };
  }

  return { program, serve, open, browser: started };
}

/** Runs in the page: shows another address as a link of the page does, and waits until the view before is gone. */
const NAVIGATE = `(address) => {
  history.pushState(null, '', address);
  dispatchEvent(new PopStateEvent('popstate'));
  return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}`;

/** Shows an address of an open dashboard without loading its program again, which takes longer than most views. */
export async function visit(page: Page, address: string): Promise<void> {
  if (page.url().startsWith('http')) await page.evaluate(`(${NAVIGATE})(${JSON.stringify(address)})`);
  else await page.goto(address);
  await complete(page);
}

/** Waits until no part of a view is still to come. */
export async function complete(page: Page): Promise<void> {
  await page
    .getByText(/^(?:Loading|Drawing) …$/)
    .first()
    .waitFor({ state: 'detached' });
}
