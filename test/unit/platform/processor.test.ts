import { describe, expect, it } from 'vitest';

import { tellsAes } from '../../../src/platform/processor.ts';

const INTEL = 'processor\t: 0\nmodel name\t: a CPU\nflags\t\t: fpu sse2 ssse3 aes avx avx2\n\n';
const ARM =
  'processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 crc32\nCPU part\t: 0xd0c\n';

describe('a processor', () => {
  it.each([
    ['x64', INTEL, true],
    ['x64', INTEL.replace(' aes', ''), false],
    // The instructions for AES of what fast implementations are built for come with it.
    ['x64', INTEL.replaceAll(/ avx2?/g, ''), false],
    ['x64', INTEL.replace(' aes', ' vaes'), false],
    ['arm64', ARM, true],
    // As that of a Raspberry Pi 4.
    ['arm64', ARM.replace(' aes pmull sha1', ''), false],
    ['s390x', INTEL, false],
    ['x64', '', false],
  ])('of %s has instructions for AES if it says so', (architecture, text, isSo) => {
    expect(tellsAes(text, architecture)).toBe(isSo);
  });
});
