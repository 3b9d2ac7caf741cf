// A server that is made of what it answers, for states that a real one is seldom in.
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../web/dist', import.meta.url))
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' }
export const origin = 'http://chat.test'

const start = Date.parse('2026-11-24T09:00:00Z')
export const at = (minutes) => new Date(start + minutes * 60_000).toISOString()
/** The time at which the states are looked at. */
export const now = new Date(start + 24 * 60 * 60_000 + 42 * 60_000)

export const users = {
  ann: { id: 1, name: 'Ann Lee', role: 'admin' },
  bob: { id: 2, name: 'Bob', role: 'student' },
  cy: { id: 3, name: 'Cy Young', role: 'teacher' },
  dana: { id: 4, name: 'Dana', role: 'student' },
  omar: { id: 5, name: 'عمر', role: 'student' },
  long: { id: 6, name: 'Bartholomew Featherstonehaugh-Cholmondeley', role: 'teacher' },
}

let lastId = 100
export function message(sender, minutes, text, more = {}) {
  const id = ++lastId
  return {
    id,
    room_id: 1,
    client_id: `c${id}`,
    sender_id: sender.id,
    sender_name: sender.name,
    sender_role: sender.role,
    message: text,
    type: 'text',
    created_at: at(minutes),
    edited_at: null,
    deleted_at: null,
    deleted_by: '',
    rev: 1,
    reply_to: null,
    file: null,
    reactions: [],
    mentions: [],
    action: '',
    ...more,
  }
}

export function picture(id, width, height, hue) {
  return { id, name: `picture-${id}.png`, size: 482_113, content_type: 'image/png', kind: 'image', url: `/files/${id}/${width}x${height}-${hue}.svg`, thumb_url: `/files/${id}/${width}x${height}-${hue}.svg`, width, height, thumb_width: width, thumb_height: height, preview: '' }
}

export const room = (id, name, more = {}) => ({
  id,
  name,
  topic: '',
  kind: 'open',
  capacity: 100,
  members: 12,
  joined: true,
  full: false,
  manages: false,
  unread: 0,
  mentions: 0,
  read_id: 0,
  last: null,
  with: null,
  channel: `room-${id}`,
  presence: `presence-room-${id}`,
  created_at: at(0),
  ...more,
})

export const session = (user, more = {}) => ({
  user,
  demo: false,
  roles: [],
  invite_role: '',
  realtime: { key: 'chat-key', path: '/realtime', auth_endpoint: '/pusher/auth', user_auth_endpoint: '/pusher/user-auth' },
  limits: { message_chars: 4000, name_chars: 40, room_name_chars: 60, topic_chars: 200, upload_bytes: 10_485_760, messages: 10, per_seconds: 10, page: 50 },
  push_key: 'BEl62iUYgUivxIkv69yViEuiBIa-Ib9-SkvMeAtA3LFgDzkrxZJjSgSnfckjBJuBkr3qBUYIHBQFLXYp5Nksh8U',
  ...more,
})

const refusal = (status, code, text, more = {}) => ({ status, json: { error: { code, message: text, ...more } } })

/** Puts the fake in the place of the server of a page. The state is changed by those who hold it. */
export async function fake(page, state) {
  const s = {
    session: session(users.ann),
    rooms: [],
    messages: [],
    members: [],
    activity: [],
    hits: [],
    online: [users.ann],
    answers: {},
    ...state,
  }
  await page.route(`${origin}/**`, async (route) => {
    const request = route.request()
    const url = new URL(request.url())
    const key = `${request.method()} ${url.pathname}`
    const answer = s.answers[key]
    if (answer === 'hang') return
    if (answer === 'abort') return route.abort()
    if (answer) return route.fulfill(answer.status ? answer : { json: answer })
    if (url.pathname.startsWith('/files/')) {
      const [, width, height, hue] = /(\d+)x(\d+)-(\d+)/.exec(url.pathname) ?? [0, 100, 100, 0]
      return route.fulfill({
        contentType: 'image/svg+xml',
        body: `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="hsl(${hue} 45% 62%)"/><circle cx="${width * 0.7}" cy="${height * 0.3}" r="${Math.min(width, height) / 6}" fill="hsl(45 90% 75%)"/><path d="M0 ${height} L${width * 0.35} ${height * 0.45} L${width * 0.6} ${height * 0.8} L${width * 0.8} ${height * 0.6} L${width} ${height}Z" fill="hsl(${hue} 40% 34%)"/></svg>`,
      })
    }
    switch (key.replace(/\d+/g, 'N')) {
      case 'GET /api/session':
        return route.fulfill({ json: s.session })
      case 'GET /api/rooms':
        return route.fulfill({ json: { rooms: s.rooms } })
      case 'GET /api/rooms/N/messages':
        return route.fulfill({ json: { messages: s.messages, has_before: false, has_after: false } })
      case 'GET /api/rooms/N/members':
        return route.fulfill({ json: { members: s.members } })
      case 'GET /api/rooms/N/activity':
        return route.fulfill({ json: { activity: s.activity, has_before: false } })
      case 'GET /api/users':
        return route.fulfill({ json: { users: Object.values(users).map((u) => ({ ...u, is_online: u.id < 3 })) } })
      case 'GET /api/search':
        return route.fulfill({ json: { hits: s.hits, has_before: false } })
      case 'GET /api/bans':
        return route.fulfill({ json: { bans: [{ ...users.long, by: 'Ann Lee', banned_at: at(0) }, { ...users.bob, by: 'Ann Lee', banned_at: at(-3 * 24 * 60) }] } })
      case 'PUT /api/rooms/N/read':
        return route.fulfill({ json: {} })
      case 'PUT /api/looking':
        return route.fulfill({ status: 204 })
      case 'POST /pusher/auth': {
        const member = { user_id: String(s.session.user.id), user_info: s.session.user }
        return route.fulfill({ json: { auth: 'chat-key:x', channel_data: JSON.stringify(member) } })
      }
      case 'POST /pusher/user-auth':
        return route.fulfill({ json: { auth: 'chat-key:x', user_data: JSON.stringify({ id: String(s.session.user.id) }) } })
    }
    if (url.pathname.startsWith('/api/') || request.method() !== 'GET') return route.fulfill(refusal(404, 'not_found', 'There is nothing here.'))
    const file = extname(url.pathname) ? url.pathname : '/index.html'
    try {
      return await route.fulfill({ body: await readFile(join(dist, file)), contentType: types[extname(file)] ?? 'application/octet-stream', headers: { 'Content-Security-Policy': csp } })
    } catch {
      return route.fulfill({ status: 404 })
    }
  })
  await page.routeWebSocket(/\/realtime\//, (ws) => {
    s.sockets = [...(s.sockets ?? []), ws]
    if (s.noSocket) return void ws.close({ code: 1001 })
    const send = (event, channel, data, extra = {}) => ws.send(JSON.stringify({ event, channel, data: JSON.stringify(data), ...extra }))
    s.emit = send
    send('pusher:connection_established', undefined, { socket_id: '1.1', activity_timeout: 120 })
    ws.onMessage((text) => {
      const { event, data } = JSON.parse(text)
      if (event === 'pusher:ping') ws.send(JSON.stringify({ event: 'pusher:pong', data: {} }))
      if (event === 'pusher:signin') send('pusher:signin_success', undefined, { user_data: data.user_data })
      if (event !== 'pusher:subscribe') return
      if (!data.channel.startsWith('presence-')) return send('pusher_internal:subscription_succeeded', data.channel, {})
      const hash = Object.fromEntries(s.online.map((u) => [u.id, u]))
      send('pusher_internal:subscription_succeeded', data.channel, { presence: { count: s.online.length, ids: s.online.map((u) => String(u.id)), hash } })
    })
  })
  return s
}

export { refusal }

const csp =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' ws:; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
