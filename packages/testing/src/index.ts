export {
  type Clock,
  type ClockHandle,
  type MemoryBackendFactory,
  type MemoryOptions,
  memory,
  systemClock,
} from './memory/index.js';
