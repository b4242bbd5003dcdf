import { isAboutCredential } from '../../errors/reason.ts';
import type { BriefWords, FastifyReply, FastifyRequest } from '../http/door.ts';
import { HttpRefusal } from '../http/refusal.ts';
import { setRetryAfter } from '../http/retry-after.ts';
import { toProblem, toWireError } from '../mapping/error.ts';

const PROBLEM = 'application/problem+json';

/** Answers with an error as RFC 9457 has it. */
export async function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
): Promise<FastifyReply> {
  const known = toProblem(error, request.id);
  const problem = error instanceof HttpRefusal ? { ...known, status: error.status } : known;
  const wire = toWireError(error);
  setRetryAfter(reply, wire);
  if (isAboutCredential(wire.reason)) reply.header('www-authenticate', 'Bearer');
  return await reply.code(problem.status).type(PROBLEM).send(JSON.stringify(problem));
}

/** The same, in brief. */
export const problemWords: BriefWords = (request, refusal) => {
  const problem = toProblem(refusal, request.id);
  // As Fastify completes it.
  const type = `${PROBLEM}; charset=utf-8`;
  return { status: problem.status, type, body: JSON.stringify(problem) };
};
