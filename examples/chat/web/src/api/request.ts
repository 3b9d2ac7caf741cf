import { checkConnection, socketId } from '@/lib/websocket'

/** A request that the server refused, or that never reached it (status 0). */
export class ApiError extends Error {
  override name = 'ApiError'
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field = '',
    /** Seconds to wait before another try; 0 if the server did not say. */
    readonly retryAfter = 0,
  ) {
    super(message)
  }

  /** Whether the same request may well succeed later. */
  get temporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

const answerWithin = 10_000
const unreached = 'The server cannot be reached. Check your connection and try again.'

interface Problem {
  error?: { code?: string; field?: string; message?: string; retry_after?: number }
}

/** Listeners of sessions that the server no longer knows. */
const signedOut = new Set<() => void>()

export function onSignedOut(told: () => void): () => void {
  signedOut.add(told)
  return () => signedOut.delete(told)
}

/** The error that an answer stands for. */
export function problemOf(status: number, body: string): ApiError {
  let problem: Problem = {}
  try {
    problem = JSON.parse(body) as Problem
  } catch {
    // A proxy's page: the status says what there is to say.
  }
  const { code = '', message = 'That did not work. Try again in a moment.', field = '', retry_after = 0 } = problem.error ?? {}
  if (status === 401) for (const told of signedOut) told()
  return new ApiError(status, code, message, field, retry_after)
}

export const notReached = () => new ApiError(0, 'unreached', unreached)

/** Asks the server. Throws an ApiError, or the signal's reason. */
export async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = {}
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  const socket = socketId()
  if (socket && method !== 'GET') headers['X-Socket-ID'] = socket
  const timeout = AbortSignal.timeout(answerWithin)
  let response: Response
  let text: string
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
    text = await response.text()
  } catch {
    signal?.throwIfAborted()
    checkConnection()
    throw notReached()
  }
  if (!response.ok) throw problemOf(response.status, text)
  if (!text) return undefined as T
  try {
    return JSON.parse(text) as T
  } catch {
    throw notReached()
  }
}

/** What to show of anything that was thrown. */
export const words = (err: unknown) => (err instanceof Error ? err.message : String(err))
