/** The configuration of one server, checked and complete. */
export interface ServerConfig {
  /** The directory of the store. */
  readonly dbPath: string;
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
  readonly jwtSecret: string;
  readonly rootUser: string;
  readonly rootPassword: string;
  /** What a write gets that asks for nothing. */
  readonly writeMode: 'sync' | 'async';
  /** Absent: a cleartext store. */
  readonly encryptionKey: string | undefined;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly corsOrigins: readonly string[];
  readonly maxBodyBytes: number;
  readonly maxDocumentBytes: number;
  readonly maxKeysPerRequest: number;
  readonly rateLimit: { readonly requests: number; readonly windowMs: number };
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Collections must be made before documents are put. */
  readonly strict: boolean;
  /** Memory for documents read by key, in bytes. */
  readonly cacheBytes: number;
  /** How many of them at most; undefined: as many as fit. */
  readonly cacheDocuments: number | undefined;
  /** How much of the past is kept; 0 is without a bound. */
  readonly retention: { readonly ageMs: number; readonly bytesMax: number };
  /** Where the log is archived; undefined: nowhere. */
  readonly archive: { readonly directory: string; readonly intervalMs: number } | undefined;
  readonly audit: {
    /** How long audit records are kept, in milliseconds; 0: for ever. */
    readonly retainMs: number;
    /** A file that gets every record as well; undefined: none. */
    readonly file: string | undefined;
  };
  readonly snapshots: {
    /** A cron expression; undefined: only on request. */
    readonly schedule: string | undefined;
    /** Scheduled ones; 0: all. */
    readonly keep: number;
    /** Run after each. */
    readonly hook: { readonly command: string; readonly timeoutMs: number } | undefined;
  };
  /** Milliseconds between two sweeps of what has expired. */
  readonly sweepIntervalMs: number;
  /** How long calls may go on after the server is told to stop, in milliseconds. */
  readonly shutdownGraceMs: number;
}
