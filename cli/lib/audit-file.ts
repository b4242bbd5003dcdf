import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** What was found in a file of audit records. */
export interface AuditFileCheck {
  /** Lines that follow one another. */
  readonly checked: number;
  /** The first and the last number; 0 when there was none. */
  readonly first: number;
  readonly last: number;
  /** The first broken line; absent when there is none. */
  readonly fault?: { readonly line: number; readonly message: string };
}

interface Link {
  readonly number: number;
  readonly hash: string;
  readonly previousHash: string;
}

/** Checks that the lines of a file are numbered without a gap and that each names the hash of the one before. */
export async function checkAuditFile(path: string): Promise<AuditFileCheck> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  let previous: Link | undefined;
  let first = 0;
  let checked = 0;
  for await (const line of lines) {
    const link = linkOf(line);
    const message = problemOf(link, previous);
    if (link === undefined || message !== undefined) {
      const fault = { line: checked + 1, message: message ?? 'it is not a record' };
      return { checked, first, last: previous?.number ?? 0, fault };
    }
    if (previous === undefined) first = link.number;
    previous = link;
    checked += 1;
  }
  return { checked, first, last: previous?.number ?? 0 };
}

function linkOf(line: string): Link | undefined {
  try {
    const value = JSON.parse(line) as Partial<Link> | null;
    const { number, hash, previousHash } = value ?? {};
    const isLink = Number.isSafeInteger(number) && typeof hash === 'string' && hash !== '';
    if (!isLink || number === undefined || typeof previousHash !== 'string') return undefined;
    return { number, hash, previousHash };
  } catch {
    return undefined;
  }
}

function problemOf(link: Link | undefined, previous: Link | undefined): string | undefined {
  if (link === undefined || previous === undefined) return undefined;
  const [number, before] = [String(link.number), String(previous.number)];
  if (link.number !== previous.number + 1) return `record ${number} comes after record ${before}`;
  return link.previousHash === previous.hash
    ? undefined
    : `record ${number} does not follow record ${before}: its previous hash is another`;
}
