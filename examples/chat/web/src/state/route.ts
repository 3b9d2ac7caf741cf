import { useSyncExternalStore } from 'react'

/** What an address of the page says: /room/7, /room/7/message/123, /invite/TOKEN. */
export interface Route {
  room: number | null
  message: number | null
  invite: string
}

const listeners = new Set<() => void>()
let current: { href: string; route: Route } | null = null

export function parseRoute(url: URL): Route {
  const [, room, message] = /^\/room\/(\d+)(?:\/message\/(\d+))?$/.exec(url.pathname) ?? []
  const [, invite] = /^\/invite\/([^/]+)$/.exec(url.pathname) ?? []
  const query = url.searchParams
  return {
    room: Number(room ?? query.get('room')) || null,
    message: Number(message ?? query.get('message')) || null,
    invite: decodeURIComponent(invite ?? query.get('invite') ?? ''),
  }
}

export function getRoute(): Route {
  if (current?.href !== location.href) current = { href: location.href, route: parseRoute(new URL(location.href)) }
  return current.route
}

export const roomPath = (room: number, message?: number) => `/room/${room}${message ? `/message/${message}` : ''}`

export function navigate(path: string, how: 'push' | 'replace' = 'push') {
  if (how === 'push' && location.pathname !== path) history.pushState(null, '', path)
  else history.replaceState(null, '', path)
  // The same message may be asked for twice.
  current = null
  for (const told of listeners) told()
}

function subscribe(told: () => void) {
  listeners.add(told)
  addEventListener('popstate', told)
  return () => {
    listeners.delete(told)
    removeEventListener('popstate', told)
  }
}

export const useRoute = () => useSyncExternalStore(subscribe, getRoute)
