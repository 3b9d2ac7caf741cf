export interface User {
  id: string
  name: string
}

export interface Message {
  user_id: string
  client_id: string
  name: string
  text: string
  /** Milliseconds since 1970, by the server's clock. */
  sent_at: number
}

export interface Page {
  /** Newest first. */
  messages: Message[]
  /** What to pass as `before` to read on; empty at the oldest message. */
  next: string
}

/** A request that the server refused, or that never reached it (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly field: string,
    message: string,
  ) {
    super(message)
  }
}

interface Problem {
  error?: { field?: string; message?: string }
}

async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: body === undefined ? headers : { ...headers, 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(15_000),
    })
    if (response.ok) return (await (response.status === 204 ? null : response.json())) as T
  } catch {
    throw new ApiError(0, '', 'The server cannot be reached.')
  }
  const problem = (await response.json().catch(() => ({}))) as Problem
  throw new ApiError(response.status, problem.error?.field ?? '', problem.error?.message ?? response.statusText)
}

const messagesPath = '/api/rooms/lobby/messages'

/** Who is signed in, or null. */
export async function currentUser(): Promise<User | null> {
  try {
    return await call<User>('GET', '/api/session')
  } catch (err) {
    if (err instanceof ApiError && err.status === 401) return null
    throw err
  }
}

/** The tabs of a browser have one session: each tells the others when it changes it. */
const tabs = new BroadcastChannel('session')

export async function signIn(name: string): Promise<User> {
  const user = await call<User>('POST', '/api/session', { name })
  tabs.postMessage('changed')
  return user
}

export async function signOut(): Promise<void> {
  await call<null>('DELETE', '/api/session')
  tabs.postMessage('changed')
}

/** Calls changed when another tab has signed in or out. */
export function onSessionChange(changed: () => void): () => void {
  tabs.addEventListener('message', changed)
  return () => tabs.removeEventListener('message', changed)
}

export const readMessages = (before = '', limit = 50) =>
  call<Page>('GET', `${messagesPath}?${new URLSearchParams({ before, limit: String(limit) })}`)

/** Sending again with the same clientId sends nothing twice. */
export const postMessage = (text: string, clientId: string, socketId: string | undefined) =>
  call<{ message: Message; duplicate: boolean }>(
    'POST',
    messagesPath,
    { text, client_id: clientId },
    socketId ? { 'X-Socket-ID': socketId } : {},
  )
