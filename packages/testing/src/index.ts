export { type MemoryBackendFactory, type MemoryOptions, memory } from './memory/index.js';
