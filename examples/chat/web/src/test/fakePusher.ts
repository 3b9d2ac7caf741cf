/** For tests: as much of pusher-js as the connection uses, moved by hand. */
type Callback = (data?: unknown, metadata?: unknown) => void

class Emitter {
  private bound = new Map<string, Set<Callback>>()
  bind(event: string, cb: Callback) {
    this.bound.set(event, (this.bound.get(event) ?? new Set()).add(cb))
    return this
  }
  unbind(event?: string, cb?: Callback) {
    if (event === undefined) this.bound.clear()
    else if (cb) this.bound.get(event)?.delete(cb)
    return this
  }
  emit(event: string, data?: unknown, metadata?: unknown) {
    for (const cb of [...(this.bound.get(event) ?? [])]) cb(data, metadata)
  }
  count(event: string) {
    return this.bound.get(event)?.size ?? 0
  }
}

export class FakeChannel extends Emitter {
  subscribed = false
  triggered: [string, unknown][] = []
  readonly members = {
    all: new Map<string, { id: string; info: unknown }>(),
    get: (id: string) => this.members.all.get(id) ?? null,
    each: (visit: (member: { id: string; info: unknown }) => void) => this.members.all.forEach((m) => visit(m)),
  }
  constructor(readonly name: string) {
    super()
  }
  trigger(event: string, data: unknown) {
    this.triggered.push([event, data])
  }
  enter() {
    this.subscribed = true
    this.emit('pusher:subscription_succeeded', {})
  }
}

export class FakePusher {
  static last: FakePusher
  readonly connection = Object.assign(new Emitter(), { state: 'connecting', socket_id: '', send_event: (event: string) => this.sent.push(event) })
  readonly user = new Emitter()
  readonly channels = new Map<string, FakeChannel>()
  readonly sent: string[] = []
  connects = 0
  constructor() {
    FakePusher.last = this
  }
  signin() {}
  subscribe(name: string) {
    const channel = this.channels.get(name) ?? new FakeChannel(name)
    this.channels.set(name, channel)
    return channel
  }
  unsubscribe(name: string) {
    this.channels.delete(name)
  }
  channel(name: string) {
    return this.channels.get(name)
  }
  connect() {
    this.connects++
    this.state('connecting')
  }
  disconnect() {
    this.state('disconnected')
  }
  state(state: string) {
    if (this.connection.state === state) return
    this.connection.state = state
    this.connection.socket_id = state === 'connected' ? '1.1' : ''
    for (const c of this.channels.values()) c.subscribed = false
    this.connection.emit('state_change', { current: state })
  }
}
