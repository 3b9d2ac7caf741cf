/// <reference lib="webworker" />
// Shows what the server pushes while no tab is looked at, and opens it. Nothing is cached.
const worker = self as unknown as ServiceWorkerGlobalScope

interface Pushed {
  title: string
  body: string
  url: string
  tag: string
}

worker.addEventListener('install', () => void worker.skipWaiting())
worker.addEventListener('activate', (event) => event.waitUntil(worker.clients.claim()))

worker.addEventListener('push', (event) => {
  let pushed: Partial<Pushed> = {}
  try {
    pushed = (event.data?.json() ?? {}) as Partial<Pushed>
  } catch {
    // The browser wants something to be shown for every push.
  }
  const { title = 'Carillon chat', body = 'There is something new.', url = '/', tag = 'chat' } = pushed
  event.waitUntil(worker.registration.showNotification(title, { body, tag, icon: '/icon.svg', data: { url } }))
})

worker.addEventListener('notificationclick', (event) => {
  event.notification.close()
  const { url = '/' } = (event.notification.data ?? {}) as { url?: string }
  // Only this page's own addresses.
  const target = new URL(url, worker.location.origin)
  if (target.origin !== worker.location.origin) return
  event.waitUntil(open(target.href))
})

async function open(href: string) {
  const [tab] = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true })
  if (!tab) return void (await worker.clients.openWindow(href))
  // Some browsers do not let a worker do that; the room is opened there all the same.
  await tab.focus().catch(() => undefined)
  await tab.navigate(href).catch(() => worker.clients.openWindow(href))
}
