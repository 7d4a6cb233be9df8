/** Reads of the page, and the actions that it sends. All addresses are relative to the base path of the dashboard. */

/** An answer that is an error. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    message: string,
    readonly status: number,
    readonly issues: readonly { readonly path: string; readonly message: string }[] = [],
  ) {
    super(message);
  }
}

/** How far the clock of the server is ahead of the browser's. */
let aheadMs = 0;

/** Returns the time of the server. */
export const now = (): number => Date.now() + aheadMs;

export const addressOf = (path: string): string => new URL(path.replace(/^\//, ''), document.baseURI).href;

export async function read<Answer>(path: string): Promise<Answer> {
  return answerOf(await fetch(addressOf(`api${path}`)));
}

/** Sends an action. Rejects with an `ApiError` if it is refused or fails. */
export async function act<Answer>(action: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const request = { method: 'POST', headers, body: JSON.stringify(body) };
  return answerOf(await fetch(addressOf(`api/actions/${action}`), request));
}

async function answerOf<Answer>(response: Response): Promise<Answer> {
  const date = Date.parse(response.headers.get('date') ?? '');
  const difference = date - Date.now();
  if (Math.abs(difference) > 2000) aheadMs = difference; // the header has whole seconds
  const body = await response.json().catch(() => undefined);
  if (response.ok) return body as Answer;
  const { message = `The dashboard answered with ${response.status}.`, issues } = body?.error ?? {};
  throw new ApiError(String(message), response.status, issues);
}
