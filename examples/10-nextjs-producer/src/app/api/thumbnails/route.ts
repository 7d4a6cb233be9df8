import { isFinal } from '@umbel/core';
import { app, makeThumbnail, thumbnailInput } from '../../../contracts.js';

/** POST /api/thumbnails */
export async function POST(request: Request): Promise<Response> {
  const input = thumbnailInput.safeParse(await request.json());
  if (!input.success) return Response.json({ error: input.error.issues[0]?.message }, { status: 400 });
  const { id } = await makeThumbnail.delay(input.data);
  return Response.json({ id }, { status: 202 });
}

/** GET /api/thumbnails?id=… */
export async function GET(request: Request): Promise<Response> {
  const thumbnail = app.result(makeThumbnail, new URL(request.url).searchParams.get('id') ?? '');
  const state = await thumbnail.state();
  if (!isFinal(state)) return Response.json({ state });
  const outcome = await thumbnail.outcome();
  return Response.json(outcome.ok ? { state, file: outcome.value.file } : { state });
}
