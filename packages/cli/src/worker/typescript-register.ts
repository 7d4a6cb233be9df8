/** Imported first by a process, this lets it import TypeScript. */
import { register } from 'node:module';

register('./typescript-hooks.js', import.meta.url);
