/** The test projects: one folder below `test/` each, the cheap ones first. */
import { configDefaults, type ViteUserConfig } from 'vitest/config';

import { EMBEDDED_ONLY, ON_BOTH } from './test/engines.ts';

/** Longest time of one test, by project, in milliseconds: a safety net, never a measurement. */
const TEST_TIMEOUT_MS = {
  unit: 10_000,
  contract: 30_000,
  integration: 30_000,
  postgres: 120_000,
  e2e: 120_000,
  chaos: 120_000,
  tidy: 30_000,
} as const;

/** Chooses the seed of the run. */
const SEED = './test/support/seed-of-run.ts';

const config: ViteUserConfig = {
  test: {
    // A forgotten `.only` must not make a run green.
    allowOnly: false,
    passWithNoTests: true,
    restoreMocks: true,
    // Longer than machines stand still, and shorter than any test may take.
    expect: { poll: { timeout: 8_000 } },
    // Servers, workers and native modules are safer in processes than in threads.
    pool: 'forks',
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'html'],
      thresholds: {
        'src/domain/**': { lines: 80, branches: 75 },
        'src/storage/**': { lines: 80, branches: 75 },
      },
    },
    projects: Object.entries(TEST_TIMEOUT_MS).map(([name, timeoutMs]) => ({
      extends: true,
      test: {
        name,
        include: name === 'postgres' ? ON_BOTH : [`test/${name}/**/*.test.ts`],
        exclude: [
          ...[...configDefaults.exclude, 'dist/**'],
          ...(name === 'postgres' ? Object.keys(EMBEDDED_ONLY) : []),
        ],
        testTimeout: timeoutMs,
        hookTimeout: timeoutMs,
        teardownTimeout: 10_000,
        setupFiles: ['e2e', 'postgres'].includes(name)
          ? ['./test/support/no-secret-in-logs.ts']
          : [],
        globalSetup: name === 'postgres' ? [SEED, './test/support/postgres-run.ts'] : [SEED],
        ...(name === 'postgres' ? { env: { MOLTEN_TEST_STORAGE: 'postgres' } } : {}),
      },
    })),
  },
};

export default config;
