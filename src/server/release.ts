import { readFileSync } from 'node:fs';

/** The release of this server, from the package it is part of: two folders up, or three in the build. */
export const RELEASE: string = readRelease();

function readRelease(): string {
  for (const place of ['../../package.json', '../../../package.json']) {
    try {
      const text = readFileSync(new URL(place, import.meta.url), 'utf8');
      const { version } = JSON.parse(text) as { readonly version?: string };
      if (version !== undefined) return version;
    } catch {
      // Not there; the next place.
    }
  }
  return 'unknown';
}
