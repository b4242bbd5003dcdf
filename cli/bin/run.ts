import { execute, settings } from '@oclif/core';

// The commands are compiled; there is nothing to translate on the way.
settings.enableAutoTranspile = false;
await execute({ dir: import.meta.url });
