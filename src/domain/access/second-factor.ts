import { randomBytes } from 'node:crypto';

import { Secret, TOTP } from 'otpauth';

import { DomainError } from '../../errors/domain-error.ts';
import type { Clock } from '../../platform/clock.ts';
import { hashOf, isSame } from '../../platform/secrets.ts';
import type { Accounts, SecondFactor } from './accounts.ts';
import type { Sealer } from './sealer.ts';

/** A device that was offered and is not confirmed. */
export interface Enrolment {
  /** Base32, for typing. */
  readonly secret: string;
  /** `otpauth://totp/…`, for a picture to scan. */
  readonly uri: string;
}

/** One-time codes from a device: TOTP (RFC 6238), SHA-1, six digits, 30 seconds. */
export interface SecondFactors {
  /** Offers a device; it counts only when a first code has been confirmed. */
  enrol(name: string): Promise<Enrolment>;
  /** Takes the first code and gives the recovery codes, shown once; undefined for a wrong code. */
  confirm(name: string, code: string): Promise<readonly string[] | undefined>;
  /**
   * Takes a code, of the device or for recovery; true when it was right. Each is taken once; a code is
   * taken one step early or late, 30 seconds.
   */
  take(name: string, code: string): Promise<boolean>;
  /** Other recovery codes; the old ones end. */
  renewRecoveryCodes(name: string): Promise<readonly string[]>;
  /** The user has none any more. */
  remove(name: string): Promise<void>;
}

const STEP_S = 30;
const WINDOW_STEPS = 1;
const SECRET_BYTES = 20;
const RECOVERY_CODES = 10;
const RECOVERY_BYTES = 8;
const PURPOSE = 'second factor';
const DIGITS = /^\d{6}$/;

/** What second factors need. */
export interface SecondFactorsParts {
  readonly accounts: Accounts;
  readonly sealer: Sealer;
  readonly clock: Clock;
  /** Shown by the device beside the name. */
  readonly issuer: string;
}

/** Creates the second factors of the users of a store. */
export function createSecondFactors(parts: SecondFactorsParts): SecondFactors {
  const { accounts, sealer, issuer } = parts;

  async function change(
    name: string,
    body: (factor: SecondFactor | undefined) => SecondFactor | undefined,
  ): Promise<void> {
    await accounts.records.change(name, (user) => {
      if (user === undefined) return undefined;
      const secondFactor = body(user.secondFactor);
      // The same stays the same, so that a wrong code writes nothing.
      return secondFactor === user.secondFactor ? user : { ...user, secondFactor };
    });
  }

  return {
    async enrol(name) {
      const secret = new Secret({ buffer: Uint8Array.from(randomBytes(SECRET_BYTES)).buffer });
      const sealed = await sealer.seal(secret.base32, PURPOSE);
      await change(name, (factor) => {
        if (factor?.isConfirmed === true) throw isEnrolled();
        return { secret: sealed, isConfirmed: false, lastStep: 0, recoveryHashes: [] };
      });
      const uri = new TOTP({ issuer, label: name, secret, period: STEP_S }).toString();
      return { secret: secret.base32, uri };
    },
    async confirm(name, code) {
      const taken: string[] = [];
      await change(name, (factor) => {
        if (factor === undefined) throw notEnrolled();
        if (factor.isConfirmed) throw isEnrolled();
        const lastStep = stepOf(parts, factor, code);
        taken.length = 0;
        if (lastStep === undefined) return factor;
        taken.push(...makeRecoveryCodes());
        return { ...factor, isConfirmed: true, lastStep, recoveryHashes: taken.map(hashOfCode) };
      });
      return taken.length === 0 ? undefined : taken;
    },
    async take(name, code) {
      let isRight = false;
      await change(name, (factor) => {
        isRight = false;
        if (factor?.isConfirmed !== true) return factor;
        const lastStep = stepOf(parts, factor, code);
        const shown = hashOfCode(code);
        const recoveryHashes = factor.recoveryHashes.filter((hash) => !isSame(hash, shown));
        const isRecovery = recoveryHashes.length < factor.recoveryHashes.length;
        isRight = lastStep !== undefined || isRecovery;
        if (!isRight) return factor;
        return { ...factor, lastStep: lastStep ?? factor.lastStep, recoveryHashes };
      });
      return isRight;
    },
    async renewRecoveryCodes(name) {
      const codes = makeRecoveryCodes();
      await change(name, (factor) => {
        if (factor?.isConfirmed !== true) throw notEnrolled();
        return { ...factor, recoveryHashes: codes.map(hashOfCode) };
      });
      return codes;
    },
    async remove(name) {
      await accounts.records.change(name, (user) => {
        return user && { ...user, secondFactor: undefined, epoch: (user.epoch ?? 0) + 1 };
      });
    },
  };
}

/** The step of a code that is right now and newer than the last one; undefined when it is wrong. */
function stepOf(
  { sealer, clock }: Pick<SecondFactorsParts, 'sealer' | 'clock'>,
  factor: SecondFactor,
  code: string,
): number | undefined {
  const secret = sealer.open(factor.secret, PURPOSE);
  if (secret === undefined || !DIGITS.test(code)) return undefined;
  const totp = new TOTP({ secret: Secret.fromBase32(secret), period: STEP_S });
  const timestamp = clock.now();
  const delta = totp.validate({ token: code, timestamp, window: WINDOW_STEPS });
  if (delta === null) return undefined;
  const step = Math.floor(timestamp / 1000 / STEP_S) + delta;
  return step > factor.lastStep ? step : undefined;
}

/** Thirteen characters of base 32 in groups of four: 64 bits, too many to guess, so that SHA-256 will do. */
function makeRecoveryCodes(): readonly string[] {
  return Array.from({ length: RECOVERY_CODES }, () => {
    const buffer = Uint8Array.from(randomBytes(RECOVERY_BYTES)).buffer;
    const text = new Secret({ buffer }).base32.toLowerCase();
    return (text.match(/.{1,4}/g) ?? []).join('-');
  });
}

function hashOfCode(code: string): string {
  return hashOf(code.toLowerCase().replaceAll(/[\s-]/g, ''));
}

/** CREDENTIAL_INVALID. `user` is whose code it was to be, for the audit log; the caller knows it. */
export function wrongCode(user?: string): DomainError {
  const message = 'the code is wrong, too old, or was used already';
  return new DomainError('CREDENTIAL_INVALID', message, {
    metadata: user === undefined ? {} : { user },
  });
}

function isEnrolled(): DomainError {
  return new DomainError(
    'SECOND_FACTOR_EXISTS',
    'there is a second factor already; remove it first, with a code of it',
  );
}

function notEnrolled(): DomainError {
  return new DomainError('SECOND_FACTOR_NOT_FOUND', 'there is no second factor; enrol one first');
}
