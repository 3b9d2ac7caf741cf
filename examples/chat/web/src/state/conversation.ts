import { getMembers, getMessages, type From } from '../api/calls'
import { ApiError, words } from '../api/request'
import type { Activity, Member, Message, ReadMarker, Room, User } from '../api/types'
import {
  listenToActivity,
  listenToMessageChanges,
  listenToMessages,
  listenToOnline,
  listenToPresenceEvent,
  listenToTyping,
  listenToUserStatus,
  onRoomEntered,
  onRoomRefused,
  type Entered,
  type UserStatus,
} from '@/lib/websocket'
import { Store } from './store'
import { arrived, changed, fromPage, isBefore, merge, nothing, withNewer, withOlder, type Timeline } from './timeline'

const pageSize = 50
const largestPage = 100
/** After a hole larger than this the room is shown from its newest messages. */
const mostPages = 10
const retryAfter = 2_000
/** How much of what is shown is read again after a hole, for edits and reactions. */
const refreshed = 200

export interface ConversationState {
  timeline: Timeline
  loaded: boolean
  loadingBefore: boolean
  loadingAfter: boolean
  /** Why the messages cannot be shown, for people; "" if they can. */
  problem: string
  /** The server does not let this user in any more. */
  refused: string
  members: Member[] | null
  typing: { id: string; name: string }[]
  /** The message up to which everything had been read when the room was opened, for the line "new"; null without a line. */
  unreadFrom: number | null
  /** How many came while the reader looks at older ones. */
  unseen: number
  /** How far each of the others has read. */
  readers: ReadMarker[]
  /** Of the feed: the newest live ones, newest first. */
  activity: Activity[]
  /** Where to scroll to: a message that was asked for. */
  jump: { id: number; turn: number } | null
}

const initial: ConversationState = {
  timeline: nothing,
  loaded: false,
  loadingBefore: false,
  loadingAfter: false,
  problem: '',
  refused: '',
  members: null,
  typing: [],
  unreadFrom: null,
  unseen: 0,
  readers: [],
  activity: [],
  jump: null,
}

/** One room as this tab sees it, from when it was opened on. */
export class Conversation extends Store<ConversationState> {
  private stops: (() => void)[] = []
  private turn = 0
  /**
   * Up to this message nothing is missing. What this user sent is no sign of that:
   * it may have been taken while nothing came in.
   */
  private whole = 0
  /** How often something may have been missed since all that was missed was read. */
  private holes = 0
  private retryTimer: ReturnType<typeof setTimeout> | undefined
  private readonly live = new Set<Message[]>()
  /** Ends when the first page is there, or could not be had. */
  private opening: Promise<void> = Promise.resolve()
  /** The reader is at the newest message and looks at it. */
  private looking = true

  constructor(
    readonly room: Room,
    private readonly me: User,
    private readonly onMessage: (message: Message) => void,
    private readonly onRead: (roomId: number, messageId: number) => void,
  ) {
    super(initial)
  }

  start(messageId?: number) {
    const { id } = this.room
    const options = { private: this.room.kind !== 'open' }
    this.stops = [
      listenToMessages<Message>(id, this.received, options),
      listenToMessageChanges<Message>(id, this.messageChanged, options),
      listenToActivity(id, (a) => this.activityCame(a as Activity), options),
      listenToUserStatus(id, this.statusChanged, options),
      onRoomEntered(id, (how) => void this.entered(how), options),
      onRoomRefused(id, (err) => this.set({ refused: err.message }), options),
      listenToTyping(id, ({ user_id, user_name, is_typing }) => this.typingChanged(user_id, user_name, is_typing)),
      listenToOnline(id, (online) => this.onlineChanged(online.map((o) => o.id))),
      listenToPresenceEvent<ReadMarker>(id, 'read-marker', this.readerMoved),
    ]
    this.set({ unreadFrom: this.room.unread > 0 ? this.room.read_id : null })
    // More than a page is unread: reading goes on where it stopped.
    const stopped = this.room.unread > pageSize && this.room.read_id > 0 ? this.room.read_id : undefined
    this.opening = messageId || stopped ? this.jumpTo(messageId || stopped!) : this.toNewest()
    void this.loadMembers()
  }

  stop() {
    clearTimeout(this.retryTimer)
    for (const stop of this.stops) stop()
    this.stops = []
  }

  /** Shows a message and those around it. */
  async jumpTo(id: number) {
    if (!this.get().timeline.messages.some((m) => m.id === id)) {
      const page = await this.load({ around: id })
      if (!page) return this.toNewest()
      this.set({ timeline: fromPage(page), loaded: true, unseen: 0 })
    }
    this.set({ jump: { id, turn: ++this.turn } })
  }

  /** Shows the newest messages. */
  async toNewest() {
    const { timeline, loaded } = this.get()
    if (loaded && !timeline.hasAfter) return
    // What comes live while the page is under way is not lost.
    const live: Message[] = []
    this.live.add(live)
    const page = await this.load({})
    this.live.delete(live)
    if (!page) return
    this.whole = page.messages.at(-1)?.id ?? 0
    this.set({ timeline: live.reduce((t, m) => arrived(t, m), fromPage(page)), loaded: true, unseen: 0, jump: null })
    this.tellRead()
  }

  async loadBefore() {
    const { timeline, loadingBefore } = this.get()
    const first = timeline.messages[0]
    if (!first || !timeline.hasBefore || loadingBefore) return
    this.set({ loadingBefore: true })
    const page = await this.load({ before: first.id })
    this.set({ loadingBefore: false, ...(page && { timeline: withOlder(this.get().timeline, page) }) })
  }

  async loadAfter() {
    const { timeline, loadingAfter } = this.get()
    const last = timeline.messages.at(-1)
    if (!last || !timeline.hasAfter || loadingAfter) return
    this.set({ loadingAfter: true })
    const page = await this.load({ after: last.id })
    this.set({ loadingAfter: false, ...(page && { timeline: withNewer(this.get().timeline, page) }) })
  }

  private async load(from: From, limit = pageSize) {
    try {
      const page = await getMessages(this.room.id, from, limit)
      this.set({ problem: '' })
      return page
    } catch (err) {
      if (err instanceof ApiError && (err.status === 403 || err.status === 404 || err.code === 'room_full') && !from.around) this.set({ refused: err.message })
      else this.set({ problem: words(err) })
      return null
    }
  }

  private async entered(how: Entered) {
    // What comes live from here on is behind the hole.
    if (how !== 'resumed') this.holes++
    await this.opening
    if (!this.get().loaded) await this.toNewest()
    await this.fill(how === 'gap')
  }

  /** Reads what may be missing, until that was possible. */
  private async fill(changes: boolean) {
    clearTimeout(this.retryTimer)
    const holes = this.holes
    if (holes === 0 || !this.get().loaded) return
    const filled = this.get().timeline.hasAfter || (await this.catchUp(changes))
    if (filled && this.holes === holes) this.holes = 0
    else this.retryTimer = setTimeout(() => void this.fill(changes), filled ? 0 : retryAfter)
  }

  /** Reads what came after the last message that has all before it, and what may have changed; says whether it could. */
  private async catchUp(changes: boolean): Promise<boolean> {
    for (let i = 0; ; i++) {
      const page = await this.load(this.whole ? { after: this.whole } : {}, largestPage)
      if (!page) return false
      this.set({ timeline: { ...this.get().timeline, messages: merge(this.get().timeline.messages, page.messages) } })
      this.whole = page.messages.at(-1)?.id ?? this.whole
      if (!page.has_after) break
      if (i === mostPages) {
        this.set({ timeline: { ...nothing, hasAfter: true } })
        await this.toNewest()
        return !this.get().timeline.hasAfter
      }
    }
    if (changes) await Promise.all([this.refresh(), this.loadMembers()])
    this.tellRead()
    return true
  }

  /** Reads again what is shown: it may have been edited meanwhile. */
  private async refresh() {
    const { messages } = this.get().timeline
    const oldest = messages.at(-refreshed)?.id ?? messages[0]?.id ?? 0
    let before = (messages.at(-1)?.id ?? 0) + 1
    while (before > oldest) {
      const page = await this.load({ before }, largestPage)
      if (!page || page.messages.length === 0) return
      const known = new Set(this.get().timeline.messages.map((m) => m.id))
      const again = page.messages.filter((m) => known.has(m.id))
      this.set({ timeline: { ...this.get().timeline, messages: merge(this.get().timeline.messages, again) } })
      before = page.messages[0]!.id
    }
  }

  /** A message of this user that the server has taken. */
  sent(message: Message) {
    for (const live of this.live) live.push(message)
    this.set({ timeline: arrived(this.get().timeline, message), unreadFrom: null })
  }

  private received = (message: Message) => {
    this.onMessage(message)
    for (const live of this.live) live.push(message)
    if (this.holes === 0) this.whole = Math.max(this.whole, message.id)
    const { timeline, unseen, unreadFrom } = this.get()
    // What it answers may be gone: then it is said again, without the quote.
    if (isBefore(timeline, message) || timeline.messages.some((m) => m.id === message.id)) return this.messageChanged(message)
    this.stopTyping(String(message.sender_id))
    const others = message.sender_id !== this.me.id && message.type !== 'system'
    const last = timeline.messages.at(-1)
    this.set({
      timeline: arrived(timeline, message),
      unseen: others && !this.looking ? unseen + 1 : unseen,
      // Where somebody stopped looking is where the line goes.
      unreadFrom: others && !this.looking && unreadFrom === null ? (last?.id ?? 0) : unreadFrom,
    })
    if (message.type === 'system' && message.action !== 'upload') void this.loadMembers()
    this.tellRead()
  }

  messageChanged = (message: Message) => {
    this.set({ timeline: changed(this.get().timeline, message) })
  }

  /** The room is no longer on the screen. What is read by then has no line next time. */
  leave() {
    this.setLooking(false)
    if (this.get().unseen === 0) this.set({ unreadFrom: null })
  }

  /** The list tells whether its reader sees the newest message. */
  setLooking(looking: boolean) {
    this.looking = looking
    if (!looking) return
    if (this.get().unseen > 0) this.set({ unseen: 0 })
    this.tellRead()
  }

  private tellRead() {
    const last = this.get().timeline.messages.at(-1)
    if (this.looking && last && !this.get().timeline.hasAfter) this.onRead(this.room.id, last.id)
  }

  async loadMembers() {
    try {
      const { members } = await getMembers(this.room.id)
      this.set({ members })
    } catch {
      // The messages say what is wrong, and who is known stays.
    }
  }

  private statusChanged = (status: UserStatus) => {
    const { members } = this.get()
    if (!members) return
    if (!members.some((m) => m.id === status.user_id)) return void this.loadMembers()
    this.setMembers(status.user_id, { is_online: status.is_online, last_seen: status.last_seen })
    if (!status.is_online) this.stopTyping(String(status.user_id))
  }

  private onlineChanged(online: number[]) {
    const { members } = this.get()
    if (!members) return
    // Who is here now is known sooner than who has left: a reload is no leave.
    const here = new Set(online)
    if (online.some((id) => !members.some((m) => m.id === id))) void this.loadMembers()
    this.set({ members: members.map((m) => (here.has(m.id) && !m.is_online ? { ...m, is_online: true } : m)) })
  }

  private setMembers(id: number, change: Partial<Member>) {
    this.set({ members: this.get().members?.map((m) => (m.id === id ? { ...m, ...change } : m)) ?? null })
  }

  private typingChanged(id: string, name: string, active: boolean) {
    if (id === String(this.me.id)) return
    const others = this.get().typing.filter((t) => t.id !== id)
    this.set({ typing: active ? [...others, { id, name }] : others })
  }

  private stopTyping(id: string) {
    if (this.get().typing.some((t) => t.id === id)) this.typingChanged(id, '', false)
  }

  private readerMoved = (marker: ReadMarker) => {
    if (marker.user_id === this.me.id) return
    this.set({ readers: [...this.get().readers.filter((r) => r.user_id !== marker.user_id), marker] })
  }

  private activityCame(entry: Activity) {
    const { activity } = this.get()
    if (!activity.some((a) => a.id === entry.id)) this.set({ activity: [entry, ...activity].slice(0, pageSize) })
  }
}
