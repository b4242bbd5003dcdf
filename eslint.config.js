/**
 * Lint rules: the typed rules of typescript-eslint in full, and the bans of our own.
 *
 * Room boundaries are checked by dependency-cruiser on the whole graph; the npm fences are repeated
 * here because an editor shows them while typing.
 */
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** npm packages and the only folders of `src` that may import them. */
const FENCES = [
  { packages: ['fastify', '@fastify/*'], allowed: ['src/protocol/http/**', 'src/server/**'] },
  {
    packages: ['@connectrpc/*', '@connectrpc/connect/*'],
    allowed: ['src/protocol/**', 'src/client/**', 'src/server/**'],
  },
  { packages: ['pg', 'pg-*'], allowed: ['src/storage/postgres/**'] },
  { packages: ['better-sqlite3*'], allowed: ['src/storage/embedded/**'] },
  { packages: ['@oclif/*', '@inquirer/*'], allowed: ['cli/**'] },
  { packages: ['pino'], allowed: ['src/platform/**'] },
  { packages: ['openid-client', 'ldapts'], allowed: ['src/identity/**'] },
];

const TIME_AND_CHANCE =
  'is only for src/platform; take a clock, a timer or an id source as a parameter';
const TIMERS = ['setTimeout', 'setInterval', 'setImmediate'];
const BANNED_PROPERTIES = [
  { object: 'Date', property: 'now', message: `Date.now ${TIME_AND_CHANCE}.` },
  { object: 'performance', property: 'now', message: `performance.now ${TIME_AND_CHANCE}.` },
  { object: 'Math', property: 'random', message: `Math.random ${TIME_AND_CHANCE}.` },
];
const BANNED_ENVIRONMENT = {
  object: 'process',
  property: 'env',
  message: 'process.env is only for src/config; add a row to the table of options.',
};
const BANNED_SYNTAX = [
  {
    selector: 'NewExpression[callee.name="Date"][arguments.length=0]',
    message: `new Date() ${TIME_AND_CHANCE}.`,
  },
  {
    selector: 'CallExpression[callee.object.name="process"][callee.property.name="exit"]',
    message: 'process.exit cuts off what is still to be written; set process.exitCode and return.',
  },
];

export default tseslint.config(
  {
    ignores: ['dist*/**', 'gen/**', 'coverage/**', 'third_party/**', 'data/**', 'console/dist/**'],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/prefer-readonly': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: false, allowNullish: false, allowAny: false },
      ],
      // An index signature names its key, which a Record cannot.
      '@typescript-eslint/consistent-indexed-object-style': 'off',
      // A name in a pattern may be there to leave a member out of the rest.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { ignoreRestSiblings: true, argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      // Called deprecated by its authors so that it catches the eye; it is for issuers on loopback.
      '@typescript-eslint/no-deprecated': [
        'error',
        { allow: [{ from: 'package', package: 'openid-client', name: 'allowInsecureRequests' }] },
      ],
      // Interfaces of one method set are implemented by functions that need not await.
      '@typescript-eslint/require-await': 'off',
      // `while (true)` and constant conditions of a protocol loop are clearer than their disguises.
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
    },
  },
  {
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      // An exhaustive switch is one decision, not one per case.
      complexity: ['error', { max: 12, variant: 'modified' }],
      'max-depth': ['error', 3],
      'max-lines': ['error', 400],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 3],
      'no-restricted-syntax': ['error', ...BANNED_SYNTAX],
    },
  },
  {
    files: ['src/**/*.ts', 'cli/**/*.ts'],
    rules: {
      'no-restricted-properties': ['error', ...BANNED_PROPERTIES, BANNED_ENVIRONMENT],
      'no-restricted-globals': [
        'error',
        ...TIMERS.map((name) => ({ name, message: `${name} ${TIME_AND_CHANCE}.` })),
      ],
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true } }],
    },
  },
  ...fences(),
  {
    files: ['src/platform/**/*.ts'],
    rules: {
      'no-restricted-properties': ['error', BANNED_ENVIRONMENT],
      'no-restricted-globals': 'off',
      'no-restricted-syntax': 'off',
    },
  },
  {
    files: ['src/config/**/*.ts'],
    rules: { 'no-restricted-properties': ['error', ...BANNED_PROPERTIES] },
  },
  {
    // oclif finds commands by their default export; a command line prints, waits and may read the clock.
    files: ['cli/**/*.ts'],
    rules: {
      'no-console': 'off',
      'no-restricted-exports': 'off',
      'no-restricted-globals': 'off',
      'no-restricted-properties': ['error', BANNED_ENVIRONMENT],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A describe block is a list of cases, not a function to be read at once.
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['test/bench/**', 'scripts/**', 'bin/**'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['**/*.js', '**/*.mjs', '**/*.cjs'],
    languageOptions: {
      globals: {
        Atomics: 'readonly',
        Buffer: 'readonly',
        URL: 'readonly',
        console: 'readonly',
        module: 'writable',
        performance: 'readonly',
        process: 'readonly',
        setTimeout: 'readonly',
      },
    },
  },
);

/** One block per folder set: everything outside it must not import the fenced packages. */
function fences() {
  const rooms = [...new Set(FENCES.flatMap(({ allowed }) => allowed))];
  const block = (files, isAllowed, ignores = []) => ({
    files,
    ignores,
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: FENCES.filter((fence) => !isAllowed(fence)).map(({ packages, allowed }) => ({
            group: packages,
            message: `only ${allowed.join(', ')} may import it.`,
          })),
        },
      ],
    },
  });
  return [
    block(['src/**/*.ts', 'cli/**/*.ts'], () => false, rooms),
    ...rooms.map((room) =>
      block([room], ({ allowed }) => isCovered(room, allowed), nested(room, rooms)),
    ),
    {
      // Tests look into JSON answers, whose shape is what they check.
      files: ['test/**/*.ts'],
      rules: {
        '@typescript-eslint/no-explicit-any': 'off',
        '@typescript-eslint/no-unsafe-argument': 'off',
        '@typescript-eslint/no-unsafe-assignment': 'off',
        '@typescript-eslint/no-unsafe-call': 'off',
        '@typescript-eslint/no-unsafe-member-access': 'off',
      },
    },
    {
      files: ['test/**/*.ts'],
      ignores: ['test/support/fast-check.ts'],
      rules: {
        'no-restricted-imports': [
          'error',
          { name: 'fast-check', message: 'test/support/fast-check.ts has the seed of the run.' },
        ],
      },
    },
  ];
}

/** A room inside an allowed folder is allowed as well. */
function isCovered(room, allowed) {
  return allowed.some((folder) => room.startsWith(folder.replace('**', '')));
}

/** Rooms inside `room` have a block of their own. */
function nested(room, rooms) {
  return rooms.filter((other) => other !== room && other.startsWith(room.replace('**', '')));
}
