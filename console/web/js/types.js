// What the server answers, for the checker of types; nothing loads this file.
// Times are milliseconds since 1970, names that end in Ms are durations, sizes are bytes.

/**
 * @typedef {{ signedIn: boolean, methods: string[] }} Access
 *
 * @typedef {object} Info
 * @property {string} version
 * @property {string} goVersion
 * @property {number} started
 * @property {{ id: string, name?: string, sessions: number, canCurl: boolean }[]} apps
 * @property {{ kind: string, durable: boolean, shared: boolean, search: boolean, amend: boolean }} store
 * @property {string[]} redacted payloads, users, addresses: what is hidden here.
 * @property {boolean} readOnly
 * @property {Record<string, number>} limits
 *
 * @typedef {object} Figures
 * @property {number} sessions
 * @property {number} channels
 * @property {number} inPerS
 * @property {number} outPerS
 * @property {number} publishedPerS
 * @property {number} bytesInPerS
 * @property {number} bytesOutPerS
 * @property {number | null} p50Ms From a publish to the last socket write; null where nothing was sampled.
 * @property {number | null} p99Ms
 * @property {number} samples
 * @property {number} memory
 * @property {number} goroutines
 * @property {number} queuedBytes
 * @property {number} slowPerS
 * @property {number} refusedPerS
 *
 * @typedef {Figures & { at: number }} Point
 *
 * @typedef {object} Now
 * @property {number} at
 * @property {Figures} figures
 * @property {Record<string, number>} totals
 * @property {{ what: string, reason: string, count: number, lastAt: number }[]} refusals
 * @property {{ at: number, app: string, session: string, ip?: string, user?: string, messages: number, bytes: number }[]} slow
 * @property {{ at: number, what: string, app?: string, channel?: string, text: string, count: number }[]} errors
 * @property {{ ok: boolean, lastError?: { at: number, op: string, text: string } }} store
 * @property {{ viewers: number, armed: number, droppedEvents: number, notRecorded: number }} console
 *
 * @typedef {string} Position
 *
 * @typedef {object} Channel
 * @property {string} app
 * @property {string} name
 * @property {string} kind
 * @property {boolean} [cache]
 * @property {number} subscribers
 * @property {number} inProcess
 * @property {string} [rule] The pattern of its rule.
 *
 * @typedef {object} ChannelDetail
 * @property {string} app
 * @property {string} name
 * @property {string} kind
 * @property {boolean} cache
 * @property {boolean} occupied
 * @property {number} subscribers
 * @property {number} inProcess
 * @property {number} memberCount
 * @property {Rule} rule
 * @property {boolean} kept
 * @property {Position} [position]
 * @property {{ id: string, user?: string, ip?: string, since: number }[]} sessions
 * @property {number} moreSessions
 * @property {{ id: string, info?: unknown }[]} members
 * @property {number} moreMembers
 * @property {string} [storeError]
 *
 * @typedef {object} Rule
 * @property {string} [pattern]
 * @property {number} historyEvents
 * @property {number} historyAgeMs
 * @property {number} rewind
 * @property {number | string} reach
 * @property {string} publishers
 * @property {number} leaveGraceMs
 * @property {number} maxMembers
 * @property {number} maxSubscribers
 * @property {number} cacheTtlMs
 *
 * @typedef {object} Kept
 * @property {string} id
 * @property {Position} position
 * @property {number} time
 * @property {string} name
 * @property {number} size
 * @property {string} [data]
 * @property {boolean} [json]
 * @property {boolean} [dataCut]
 * @property {string} [user]
 * @property {string} [session]
 * @property {number} version
 * @property {boolean} retracted
 * @property {string} [amends]
 * @property {string} [target]
 * @property {boolean} encrypted
 *
 * @typedef {object} Session
 * @property {string} app
 * @property {string} id
 * @property {string} [ip]
 * @property {string} [user]
 * @property {number} since
 * @property {string} transport
 * @property {boolean} secure
 * @property {{ messages: number, bytes: number, messageLimit: number, byteLimit: number }} queue
 * @property {number} channels
 * @property {number} lastReceived
 *
 * @typedef {object} SessionRest
 * @property {unknown} [userInfo]
 * @property {number} watchlist
 * @property {{ channel: string, kind: string, since?: number, member?: string }[]} subscriptions
 * @property {number} moreSubscriptions
 * @typedef {Session & SessionRest} SessionDetail
 *
 * @typedef {object} LogEvent
 * @property {number} seq
 * @property {number} at
 * @property {string} kind
 * @property {string} app
 * @property {string} [channel]
 * @property {string} [event]
 * @property {string} [id]
 * @property {Position} [position]
 * @property {string} [session]
 * @property {string} [user]
 * @property {string} [ip]
 * @property {number} [size]
 * @property {string} [data] Left out where it is hidden.
 * @property {boolean} [dataCut]
 * @property {number} [tookMs]
 * @property {number} [storeMs]
 * @property {number} [subscribers]
 * @property {string} [exclude]
 * @property {string} [reason]
 * @property {number | string} [code]
 * @property {number} [status]
 * @property {string} [url]
 * @property {number} [attempt]
 * @property {string} text
 *
 * @typedef {{ id: string, app: string, channel?: string, session?: string, user?: string, since: number, until: number, events: number, forgotten: number, steps: number }} Armed
 *
 * @typedef {{ at?: number, afterMs?: number, step: string, verdict: string, text: string, tookMs?: number }} Step
 * @typedef {{ session: string, user?: string, verdict: string, reason: string, text: string, steps: Step[] }} Way
 * @typedef {object} Trace
 * @property {{ id?: string, seq?: number, at?: number, name?: string, channel: string, size?: number, position?: Position, session?: string, user?: string } | null} event
 * @property {Record<string, string | number>} question
 * @property {string} verdict got, not-got, partly or unknown.
 * @property {string} reason
 * @property {string} text
 * @property {Step[]} common
 * @property {Way[]} sessions
 * @property {number} moreSessions
 * @property {number} got How many sessions got it, those that are not listed included.
 * @property {{ what: string, why: string }[]} notRecorded
 * @property {number} [armedSince]
 * @property {number} [recordedFrom]
 *
 * @typedef {{ id?: string, seq?: number, position?: Position, trace?: string, refused?: { code: string, reason: string, text: string } }} Published
 *
 * @typedef {object} Webhook
 * @property {string} id
 * @property {string} app
 * @property {string} url
 * @property {string[]} events
 * @property {string[]} channels
 * @property {number} size
 * @property {string} state delivered, failed or retrying.
 * @property {number} firstAt
 * @property {number} lastAt
 * @property {{ at: number, status?: number, tookMs: number, error?: string }[]} attempts
 * @property {string} [body]
 * @property {boolean} canResend
 */

export {};
