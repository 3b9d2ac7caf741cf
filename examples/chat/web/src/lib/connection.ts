import { resume } from '@carillon-rt/pusher-resume'
import Pusher, { type Channel as PusherChannel } from 'pusher-js'

/** What a page shows: connected only if every channel was entered, too. */
export type ConnectionStatus = 'connected' | 'connecting' | 'disconnected'

export interface ConnectionSettings {
  key: string
  /** Where the server is mounted, such as "/realtime". */
  path: string
  authEndpoint: string
  userAuthEndpoint: string
  /** Who connects is a signed-in user, with a channel of their own. */
  signIn: boolean
  hostname: string
  port: number
  secure: boolean
}

/** Why there is no connection, or no channel. */
export class ConnectionError extends Error {
  override name = 'ConnectionError'
  constructor(
    message: string,
    /** A close code of the Pusher protocol (4009: not signed in), or an HTTP status of an authorization; 0 if neither. */
    readonly code: number,
    /** The channel that was refused, or "". */
    readonly channel = '',
  ) {
    super(message)
  }
}

/** How a channel was entered: for the first time, with nothing missed, or with a hole. */
export type Entered = 'first' | 'resumed' | 'gap'

/** A silent connection is asked for a sign of life after this time, and has half of it to answer. */
const silence = 10_000
const answerWithin = 5_000
/** pusher-js alone waits up to 15 s for its next try, and asks for authorization once per connection. */
const retryFirst = 1_000
const retryMost = 15_000

interface Channel {
  users: number
  entries: number
  entered: Set<(how: Entered) => void>
  refused: Set<(err: ConnectionError) => void>
}

/** One connection of the page, and who listens to what on it. */
export class Connection {
  readonly pusher: Pusher
  status: ConnectionStatus = 'connecting'
  private readonly channels = new Map<string, Channel>()
  /** Channels that this connection has not entered yet. */
  private unanswered = new Set<string>()
  private retryTimer: ReturnType<typeof setTimeout> | undefined
  private retryDelay = retryFirst
  private probeTimer: ReturnType<typeof setTimeout> | undefined
  private closed = false

  constructor(
    settings: ConnectionSettings,
    private readonly onChange: (status: ConnectionStatus, before: ConnectionStatus) => void,
    private readonly onError: (err: ConnectionError) => void,
  ) {
    this.pusher = new Pusher(settings.key, {
      cluster: '',
      wsHost: settings.hostname,
      wsPort: settings.port,
      wssPort: settings.port,
      wsPath: settings.path,
      forceTLS: settings.secure,
      // With 'wss' in it, pusher-js would try TLS on a plain port too.
      enabledTransports: settings.secure ? ['ws', 'wss'] : ['ws'],
      channelAuthorization: { endpoint: settings.authEndpoint, transport: 'ajax' },
      userAuthentication: { endpoint: settings.userAuthEndpoint, transport: 'ajax' },
      activityTimeout: silence,
      pongTimeout: answerWithin,
    })
    // After a lost connection channels get what they have missed.
    resume(this.pusher)
    this.pusher.connection.bind('state_change', this.stateChanged)
    this.pusher.connection.bind('message', this.alive)
    this.pusher.connection.bind('error', (err: { error?: { data?: { code?: number; message?: string } } }) => {
      const { code = 0, message = '' } = err.error?.data ?? {}
      this.onError(new ConnectionError(message || 'The connection failed.', code))
    })
    if (settings.signIn) this.pusher.signin()
    addEventListener('online', this.cameOnline)
    addEventListener('offline', this.update)
    this.retryLater()
  }

  /** The connection's name, which tells the server whom an event did not have to reach; undefined without one. */
  get socketId(): string | undefined {
    return this.pusher.connection.state === 'connected' ? this.pusher.connection.socket_id : undefined
  }

  /** Enters a channel, once for all who use it; call leave when it is no longer used. */
  use(name: string): { channel: PusherChannel; leave: () => void } {
    const known = this.channels.get(name)
    if (known) known.users++
    else this.enter(name)
    let used = true
    const leave = () => {
      const channel = this.channels.get(name)
      if (!used || !channel) return
      used = false
      if (--channel.users > 0) return
      this.channels.delete(name)
      this.unanswered.delete(name)
      this.pusher.unsubscribe(name)
      this.update()
    }
    return { channel: this.pusher.channel(name)!, leave }
  }

  private enter(name: string) {
    const channel: Channel = { users: 1, entries: 0, entered: new Set(), refused: new Set() }
    this.channels.set(name, channel)
    // One more room does not make a connection that is there look as if it were not.
    if (this.pusher.connection.state !== 'connected') this.unanswered.add(name)
    const subscribed = this.pusher.subscribe(name)
    let how: Entered = 'first'
    subscribed.bind('pusher:subscription_succeeded', () => {
      how = channel.entries++ === 0 ? 'first' : 'gap'
      // Whether anything was missed is told right after.
      queueMicrotask(() => {
        if (this.channels.get(name) !== channel) return
        this.answered(name)
        for (const told of channel.entered) told(how)
      })
    })
    subscribed.bind('pusher:resumed', () => (how = 'resumed'))
    subscribed.bind('pusher:subscription_error', (err: { status?: number; error?: string }) => this.refused(name, err))
  }

  onEntered(name: string, told: (how: Entered) => void): () => void {
    const channel = this.channels.get(name)
    channel?.entered.add(told)
    return () => channel?.entered.delete(told)
  }

  onRefused(name: string, told: (err: ConnectionError) => void): () => void {
    const channel = this.channels.get(name)
    channel?.refused.add(told)
    return () => channel?.refused.delete(told)
  }

  /** Connects now rather than at the next turn. */
  reconnect = () => {
    clearTimeout(this.retryTimer)
    this.retryTimer = undefined
    if (this.closed) return
    this.pusher.disconnect()
    this.pusher.connect()
    this.retryLater()
  }

  /** Asks for a sign of life: a request of the page was not answered. */
  probe = () => {
    if (this.probeTimer || this.pusher.connection.state !== 'connected') return
    this.pusher.connection.send_event('pusher:ping', {})
    this.probeTimer = setTimeout(this.reconnect, answerWithin)
  }

  close() {
    this.closed = true
    clearTimeout(this.retryTimer)
    clearTimeout(this.probeTimer)
    removeEventListener('online', this.cameOnline)
    removeEventListener('offline', this.update)
    this.pusher.connection.unbind()
    this.pusher.disconnect()
  }

  private alive = () => {
    clearTimeout(this.probeTimer)
    this.probeTimer = undefined
  }

  private cameOnline = () => {
    if (this.status === 'connected') this.probe()
    else this.reconnect()
  }

  private stateChanged = () => {
    this.alive()
    // A new connection has to enter everything again.
    if (this.pusher.connection.state !== 'connected') this.unanswered = new Set(this.channels.keys())
    this.update()
  }

  private answered(name: string) {
    this.unanswered.delete(name)
    this.update()
  }

  private refused(name: string, err: { status?: number; error?: string }) {
    const status = err.status ?? 0
    const problem = new ConnectionError(err.error || 'The room cannot be entered.', status, name)
    // A refusal for good is an answer; anything else is tried again.
    if (status === 403 || status === 404) {
      for (const told of this.channels.get(name)?.refused ?? []) told(problem)
      this.answered(name)
    } else {
      this.unanswered.add(name)
      this.update()
    }
    this.onError(problem)
  }

  private update = () => {
    const { state } = this.pusher.connection
    const before = this.status
    if (!navigator.onLine || state === 'failed' || state === 'unavailable') this.status = 'disconnected'
    else if (state === 'connected' && this.unanswered.size === 0) this.status = 'connected'
    // Whoever has no connection stays so until there is one: trying is no news.
    else if (before === 'connected' || state === 'connected') this.status = 'connecting'
    if (this.status === 'connected') {
      clearTimeout(this.retryTimer)
      this.retryTimer = undefined
      this.retryDelay = retryFirst
    } else {
      this.retryLater()
    }
    if (this.status !== before) this.onChange(this.status, before)
  }

  /** Connects again in a while unless all is well by then. */
  private retryLater() {
    if (this.retryTimer || this.closed) return
    // Spread, so that not everybody comes back at once. A first try has time for its answer.
    const wait = Math.max(this.retryDelay, 2_000) * (0.75 + Math.random() / 2)
    this.retryTimer = setTimeout(this.reconnect, wait)
    this.retryDelay = Math.min(this.retryDelay * 2, retryMost)
  }
}
