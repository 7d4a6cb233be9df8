/** Registers the TypeScript hooks. A child process imports this module first. */
import { register } from 'node:module';

register('./typescript-hooks.js', import.meta.url);
