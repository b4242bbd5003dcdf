import type { FastifyReply, FastifyRequest } from '../http/door.ts';
import { toProblem, toWireError } from '../mapping/error.ts';

const PROBLEM = 'application/problem+json';
const MS_PER_SECOND = 1000;

/** Answers with an error as RFC 9457 has it. */
export async function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
): Promise<FastifyReply> {
  const problem = toProblem(error, request.id);
  const { retryAfterMs, reason } = toWireError(error);
  if (retryAfterMs !== undefined) {
    reply.header('retry-after', String(Math.ceil(retryAfterMs / MS_PER_SECOND)));
  }
  if (reason.startsWith('CREDENTIAL_')) reply.header('www-authenticate', 'Bearer');
  return await reply.code(problem.status).type(PROBLEM).send(JSON.stringify(problem));
}
