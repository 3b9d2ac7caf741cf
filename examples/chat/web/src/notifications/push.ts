import { addPush, removePush } from '../api/calls'

/** A browser without a push service never answers. */
const answerWithin = 10_000

export const pushPossible = () => 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window

/** The worker, which is there for notifications alone. */
const worker = () => navigator.serviceWorker.register('/sw.js')

/** What this browser is subscribed to. */
async function subscribed(): Promise<PushSubscription | null> {
  const registration = await navigator.serviceWorker.getRegistration('/')
  return (await registration?.pushManager.getSubscription()) ?? null
}

/** The same, unless the user does not allow notifications any more. */
const allowed = async () => (pushPossible() && Notification.permission === 'granted' ? subscribed() : null)

export const pushOn = async () => (await allowed()) !== null

/** Asks for permission and subscribes; answers what to tell the user. */
export async function turnOn(key: string): Promise<string> {
  const permission = await Notification.requestPermission()
  if (permission !== 'granted') return 'Your browser does not allow notifications from here. You can change that beside the address.'
  try {
    const registration = await worker()
    await navigator.serviceWorker.ready
    const subscription = await within(
      registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) }),
      answerWithin,
    )
    await addPush(subscription.toJSON())
    return 'You will be told of mentions, replies and direct messages while no tab is looked at.'
  } catch {
    return 'Notifications cannot be turned on here: your browser’s push service does not answer.'
  }
}

/** Tells the server of this browser again: what it knew of it has ended with the last session. */
export async function renew(): Promise<void> {
  const subscription = await allowed()
  if (subscription) await addPush(subscription.toJSON())
}

export async function turnOff(): Promise<string> {
  const subscription = await subscribed()
  if (subscription) {
    await removePush(subscription.endpoint).catch(() => undefined)
    await subscription.unsubscribe()
  }
  return 'No more notifications.'
}

function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return Promise.race([promise, new Promise<never>((_, reject) => setTimeout(() => reject(new Error('no answer')), ms))])
}

/** The bytes of a key in base64url. */
function bytes(key: string): Uint8Array<ArrayBuffer> {
  const text = atob(key.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(text, (c) => c.charCodeAt(0))
}
