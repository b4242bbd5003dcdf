/** One thing that is wrong with a configuration. */
export interface Fault {
  /** Where the value came from, such as `--port` or `MOLTENDB_PORT`. */
  readonly key: string;
  /** What is wrong, and how to mend it. */
  readonly problem: string;
}

/** A configuration that cannot be used; it names everything that is wrong at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    const lines = faults.map(({ key, problem }) => `  ${key} ${problem}`);
    super(['the configuration cannot be used:', ...lines].join('\n'));
    this.faults = faults;
  }
}
