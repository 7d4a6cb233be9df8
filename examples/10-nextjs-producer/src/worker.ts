import { app, makeThumbnail } from './contracts.js';
import { shrink } from './image-library.js';

app.implement(makeThumbnail, async ({ file, width }) => ({ file: shrink(file, width) }));

export const worker = app.worker({ concurrency: 4 });
