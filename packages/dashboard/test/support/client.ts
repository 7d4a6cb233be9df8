/** Requests to a dashboard, as its page or another program sends them. */
import { expect } from 'vitest';
import type { Dashboard } from '../../src/index.js';

export const ORIGIN = 'http://localhost:3000';

/** A client of a dashboard that is mounted at `base`. */
export class Client {
  readonly #dashboard: Dashboard;
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(dashboard: Dashboard, base = '', headers: Readonly<Record<string, string>> = {}) {
    this.#dashboard = dashboard;
    this.#base = base;
    this.#headers = headers;
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return this.#dashboard.fetch(
      new Request(`${ORIGIN}${this.#base}${path}`, { headers: { ...this.#headers, ...headers } }),
    );
  }

  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return this.#dashboard.fetch(
      new Request(`${ORIGIN}${this.#base}${path}`, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...this.#headers, ...headers },
      }),
    );
  }

  /** Reads a view, which must succeed. */
  async read<Answer>(path: string): Promise<Answer> {
    const response = await this.get(`/api${path}`);
    expect({ path, status: response.status }).toEqual({ path, status: 200 });
    return (await response.json()) as Answer;
  }

  /** Sends an action, which must succeed. */
  async act<Answer>(action: string, body: object): Promise<Answer> {
    const response = await this.post(`/api/actions/${action}`, body);
    const answer: unknown = await response.json();
    expect({ action, status: response.status, answer }).toMatchObject({ action, status: 200 });
    return answer as Answer;
  }
}
