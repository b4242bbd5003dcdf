/** The configuration of one server, checked and complete. */
export interface ServerConfig {
  /** The directory of the store. */
  readonly dbPath: string;
  /** A PostgreSQL that holds the store; undefined: the directory does. */
  readonly storage:
    | { readonly url: string; readonly password: string | undefined; readonly connections: number }
    | undefined;
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
  readonly jwtSecret: string;
  readonly rootUser: string;
  /** Absent: whoever completes the set-up gives one. */
  readonly rootPassword: string | undefined;
  /** Who else vouches for users. */
  readonly identity: IdentityConfig;
  /** Tokens, passwords and the set-up. */
  readonly access: AccessConfig;
  /** What a write gets that asks for nothing. */
  readonly writeMode: 'sync' | 'async';
  /** Absent: a cleartext store. */
  readonly encryptionKey: string | undefined;
  readonly tls: TlsConfig | undefined;
  readonly corsOrigins: readonly string[];
  /** Ranges of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  readonly maxBodyBytes: number;
  readonly maxDocumentBytes: number;
  readonly maxKeysPerRequest: number;
  /** Requests of one address per window; 0: no bound. */
  readonly rateLimit: { readonly requests: number; readonly windowMs: number };
  /** How much one query may do at most; administrators lower it while the server runs. */
  readonly queryCeiling: {
    readonly rowsMax: number;
    readonly timeMsMax: number;
    readonly examinedMax: number;
    readonly memoryBytesMax: number;
  };
  /** From where on calls are turned away, in milliseconds; 0: no bound. */
  readonly overload: { readonly loopDelayMaxMs: number; readonly queueWaitMaxMs: number };
  /** The limits beside that, per window; 0: no bound. */
  readonly rates: RatesConfig;
  /** Addresses that go on although they are refused. */
  readonly bans: BansConfig;
  readonly connections: ConnectionsConfig;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Queries that take this long are logged, in milliseconds; 0: none. */
  readonly slowQueryMs: number;
  /** Where spans go; undefined: calls are not traced. */
  readonly otlpEndpoint: string | undefined;
  /** Who is told of alerts; undefined: nobody. */
  readonly alertWebhook:
    { readonly url: string; readonly secret: string; readonly allowPrivate: boolean } | undefined;
  /** Where scrapers read metrics; port 0 chooses a free one. Undefined: nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
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
  /** How long it says that it is not ready before it stops, and takes calls all the same, in milliseconds. */
  readonly shutdownDelayMs: number;
  /** How long calls may go on after that. */
  readonly shutdownGraceMs: number;
  /** How long the rest may take to close after that. */
  readonly shutdownTimeoutMs: number;
}

/** What proves the server, in PEM, and which clients must prove themselves. */
export interface TlsConfig {
  readonly cert: string;
  readonly key: string;
  /** Absent: clients are asked for no certificate. */
  readonly clients?: { readonly ca: string; readonly isRequired: boolean } | undefined;
}

/** How many calls of a kind per window; 0: no bound. */
export interface RatesConfig {
  /** Requests of one address at once. */
  readonly burst: number;
  readonly anonymous: number;
  readonly logins: number;
  readonly verifications: number;
  readonly principal: number;
}

/** When addresses are banned. */
export interface BansConfig {
  /** Refusals per window; 0: never. */
  readonly refusals: number;
  /** How long the first time. */
  readonly firstMs: number;
}

/** Bounds of connections and of what comes in on them. */
export interface ConnectionsConfig {
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly streamsMax: number;
  readonly bufferedBytesMax: number;
  readonly headerBytesMax: number;
  readonly urlCharsMax: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** What is configured of tokens, passwords and the set-up. */
export interface AccessConfig {
  /** Secrets before the one in use, whose tokens are still taken. */
  readonly previousJwtSecrets: readonly string[];
  readonly tokenAlgorithm: 'HS256' | 'EdDSA' | 'ES256';
  /** `iss` and `aud` of tokens. */
  readonly tokenIssuer: string;
  readonly tokenAudience: string;
  /** The life of a session's token that asks for none. */
  readonly accessTokenTtlMs: number;
  /** The shortest password. */
  readonly passwordCharsMin: number;
  /** Delegated tokens of one user that live at once. */
  readonly tokensPerUserMax: number;
  /** Lets the set-up be completed from elsewhere. */
  readonly setupToken: string | undefined;
}

/** Who else vouches for users, and what their groups give here. */
export interface IdentityConfig {
  readonly ldap: LdapConfig | undefined;
  readonly oidc: OidcConfig | undefined;
}

/** Roles by group, and what everybody gets. */
export interface RoleMappingConfig {
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly defaultRoles: readonly string[];
  /** Whoever signs in first becomes a user. */
  readonly provision: boolean;
  /** Of those, only who meets one of these. Absent or empty: all. */
  readonly provisionOnly?: readonly ProvisionRuleConfig[];
}

/** One way to be let in at the first sign-in. */
export type ProvisionRuleConfig =
  | { readonly kind: 'mapped' }
  | { readonly kind: 'group'; readonly group: string }
  | { readonly kind: 'emailDomain'; readonly domain: string };

/** A directory of users. */
export interface LdapConfig {
  readonly url: string;
  readonly startTls: boolean;
  /** A file of certificates to trust, in PEM. */
  readonly caPath: string | undefined;
  readonly service?: { readonly dn: string; readonly password: string };
  readonly userBase: string;
  readonly userFilter: string;
  readonly usernameAttribute?: string;
  readonly subjectAttribute?: string;
  readonly groupBase?: string;
  readonly groupFilter?: string;
  readonly mapping: RoleMappingConfig;
}

/** An OpenID Connect provider. */
export interface OidcConfig {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret?: string;
  readonly redirectUris: readonly string[];
  readonly scopes: readonly string[];
  readonly usernameClaim: string;
  readonly groupsClaim: string;
  readonly allowInsecure: boolean;
  readonly mapping: RoleMappingConfig;
}
