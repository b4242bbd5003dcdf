import { readFileSync } from 'node:fs';

/** What fast implementations of AES need of a processor, as Linux names it. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  x64: ['aes', 'avx'],
  arm64: ['aes'],
};

/**
 * Whether the processor has instructions for AES. On Linux it is asked, and taken for one that has none where that cannot be told;
 * on other systems all that Node runs on have them.
 */
export function hasAes(): boolean {
  if (process.platform !== 'linux') return true;
  try {
    return tellsAes(readFileSync('/proc/cpuinfo', 'utf8'), process.arch);
  } catch {
    return false;
  }
}

/** Whether the text of `/proc/cpuinfo` of a machine with an architecture, in the words of Node, says so. */
export function tellsAes(text: string, architecture: string): boolean {
  const features = /^(?:flags|Features)\s*:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/) ?? [];
  const needed = NEEDED[architecture];
  return needed?.every((feature) => features.includes(feature)) === true;
}
