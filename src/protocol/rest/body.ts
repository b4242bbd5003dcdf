import { DomainError } from '../../errors/domain-error.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A JSON body, parsed; no bytes are no body. ARGUMENT_INVALID names what is wrong with it. */
export function parseJsonBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new DomainError('ARGUMENT_INVALID', 'the body is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : 'no reason given';
    throw new DomainError('ARGUMENT_INVALID', `the body is not JSON: ${problem}`);
  }
}
