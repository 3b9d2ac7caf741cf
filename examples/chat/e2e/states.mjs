// Every state that the chat is to look right in: what the server says, and what is done in the page.
import { at, fake, message, now, origin, picture, refusal, room, session, users } from './fake.mjs'

const { ann, bob, cy, dana, omar, long } = users
const member = (user, is_online, last_seen = null) => ({ ...user, is_online, last_seen, joined_at: at(0), manages: false })
const day = 24 * 60
const members = [member(ann, true), member(bob, true), member(cy, true), member(dana, false, at(day + 39)), member(omar, false, at(day - 60)), member(long, false, at(-8 * day))]
const marks = (m, ...words) => words.map((w) => [m.message.indexOf(w), m.message.indexOf(w) + w.length])
const last = (m) => ({ id: m.id, sender_name: m.sender_name, message: m.message, type: m.type, created_at: m.created_at })

const talk = [
  message(ann, 10, 'Ann Lee joined the room', { type: 'system', action: 'joined' }),
  message(bob, 30, 'Has somebody the slides of Thursday?'),
  message(cy, 32, 'They are in the folder of the course, under “week 7”. I have put the exercise beside them, with a few hints for those who have not been there.'),
  message(cy, 33, 'Number 4 is the hard one.'),
  message(bob, 34, 'thanks!', { reactions: [{ emoji: '👍', count: 2, users: [ann, cy] }, { emoji: '🎉', count: 1, users: [cy] }] }),
  message(ann, day + 5, 'Good morning. Does the room on the third floor work for all of you at four?'),
  message(ann, day + 5, 'It has the good projector.'),
  message(bob, day + 8, 'Works for me'),
  message(dana, day + 39, 'I am ten minutes late, start without me.'),
]

const rooms = () => [
  room(1, 'Design review', { topic: 'What we show on Thursday', last: last(talk.at(-1)), manages: true }),
  room(2, 'Lobby', { unread: 3, last: { id: 9, sender_name: 'Bob', message: 'ok, see you there', type: 'text', created_at: at(day + 37) } }),
  room(3, 'Staff', { kind: 'private', unread: 1, mentions: 1, last: { id: 8, sender_name: 'Cy Young', message: '@Ann Lee can you look at this before noon?', type: 'text', created_at: at(day + 10) } }),
  room(4, 'Bob', { kind: 'direct', with: bob, last: { id: 7, sender_name: 'Ann Lee', message: 'see you', type: 'text', created_at: at(-200) } }),
  room(5, 'Book club', { joined: false, topic: 'One chapter a week', last: null }),
]

const inRoom = (messages, more = {}) => ({ rooms: rooms(), members, messages, online: [ann, bob, cy], ...more })
const code = 'export function grow(el: HTMLTextAreaElement) {\n  if (CSS.supports("field-sizing", "content")) return\n  el.style.height = "auto"\n}'

/** By name: what the server has, where the page begins, and what is done there. */
export const states = {
  'sign-in empty': { server: { session: session(null) }, path: '/', ready: 'name' },
  'sign-in demo': { server: { session: session(null, { demo: true, roles: ['student', 'teacher', 'admin'] }) }, path: '/', ready: 'name' },
  'sign-in invited': { server: { session: session(null, { invite_role: 'teacher' }) }, path: '/invite/ABC', ready: 'name' },
  'sign-in wrong': {
    server: { session: session(null) },
    path: '/',
    ready: 'name',
    async act(page) {
      await page.getByTestId('name').fill('Ann')
      await page.getByTestId('passphrase').fill('short')
      await page.getByTestId('enter').click()
      await page.getByTestId('signin-problem').getByText('at least 8').waitFor()
    },
  },
  'sign-in taken name': {
    server: { session: session(null), answers: { 'POST /api/session': refusal(403, 'wrong_passphrase', '“Ann” is taken. If it is you, check the passphrase; if not, choose another name.', { field: 'passphrase' }) } },
    path: '/',
    ready: 'name',
    async act(page) {
      await page.getByTestId('name').fill('Ann')
      await page.getByTestId('passphrase').fill('not hers at all')
      await page.getByTestId('enter').click()
      await page.getByText('“Ann” is taken.').waitFor()
    },
  },
  'first room empty': { server: inRoom([], { rooms: [room(1, 'Lobby', { topic: 'Everybody is here' })], members: [member(ann, true)], online: [ann] }), ready: 'start' },
  loading: { server: inRoom([], { answers: { 'GET /api/rooms/1/messages': 'hang', 'GET /api/rooms/1/members': 'hang' } }), ready: 'composer' },
  talk: { server: inRoom(talk) },
  'room list': { server: inRoom(talk), path: '/', ready: 'room' },
  'burst and hover': { server: inRoom(talk), act: (page) => page.getByText('Number 4 is the hard one.').hover({ force: true }) },
  'long words': { server: inRoom([message(long, day, 'Donaudampfschifffahrtsgesellschaftskapitänsmützenkokarde'.repeat(4)), message(bob, day + 1, `https://example.com/${'a-very-long-path/'.repeat(14)}`), message(bob, day + 2, 'x'.repeat(300))]) },
  '60-line paste': { server: inRoom([message(bob, day, Array.from({ length: 60 }, (_, i) => `${i + 1}: a line of a log that somebody has pasted`).join('\n'))]) },
  'code list quote link': { server: inRoom([message(bob, day, '```ts\n' + code + '\n```'), message(ann, day + 1, '- **first**, with `code`\n- second, *maybe*\n- [x] done\n\n> said by somebody\n\nSee https://example.com/docs for ~~all~~ most of it.\n\n1. one\n2. two')]) },
  'emoji only': { server: inRoom([message(bob, day, '🎉🎉🎉'), message(ann, day + 1, '👩‍💻'), message(cy, day + 2, 'and one 🙂 in a line')]) },
  'right to left': { server: inRoom([message(omar, day, 'مرحبا بالجميع، متى يبدأ الدرس اليوم؟'), message(omar, day, 'שלום — hello — `vector<int>`'), message(bob, day + 1, 'At four, عمر.', { mentions: [5] })]) },
  'right to left page': { server: inRoom(talk), rtl: true },
  'pictures and files': {
    server: inRoom([
      message(bob, day, 'From the roof', { type: 'image', file: picture(1, 1600, 900, 205) }),
      message(bob, day + 1, '', { type: 'image', file: picture(2, 600, 1200, 150) }),
      message(cy, day + 8, '', { type: 'file', file: { ...picture(3, 0, 0, 0), kind: 'text', name: 'notes of the meeting with a rather long name.txt', preview: 'Agenda\n1. Room\n2. Slides\n3. Who brings the cake', size: 4213, url: '/files/3/notes.txt' } }),
      message(cy, day + 9, 'And the plan', { type: 'file', file: { ...picture(4, 0, 0, 0), kind: 'other', name: 'plan.pdf', size: 2_482_113, url: '/files/4/plan.pdf' } }),
    ]),
  },
  lightbox: {
    server: inRoom([message(bob, day, 'From the roof', { type: 'image', file: picture(1, 1600, 900, 205) }), message(bob, day, '', { type: 'image', file: picture(2, 600, 1200, 150) })]),
    async act(page) {
      await page.getByTestId('picture').first().click()
      await page.getByTestId('lightbox').locator('img').waitFor()
    },
  },
  'upload at 40 %': {
    server: inRoom(talk),
    async act(page) {
      await page.evaluate(() => {
        const { send } = XMLHttpRequest.prototype
        XMLHttpRequest.prototype.send = function (body) {
          if (body instanceof File) this.upload.onprogress?.(new ProgressEvent('progress', { lengthComputable: true, loaded: 40, total: 100 }))
          else send.call(this, body)
        }
      })
      await page.getByTestId('chooser').setInputFiles([{ name: 'roof.png', mimeType: 'image/png', buffer: png }, { name: 'plan.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(200_000) }])
      await page.getByTestId('upload').nth(1).waitFor()
    },
  },
  'upload failed': {
    server: inRoom(talk, { answers: { 'POST /api/rooms/1/uploads': refusal(413, 'quota', 'Your files take up all of your 200 MB. Delete some, or ask an admin.') } }),
    async act(page) {
      await page.getByTestId('chooser').setInputFiles([{ name: 'film.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(2000) }])
      await page.getByText('Your files take up all').waitFor()
    },
  },
  'reply, edited, deleted': {
    server: inRoom([
      talk[1],
      message(cy, day, 'In the folder, “week 7”', { reply_to: { id: talk[1].id, sender_id: 2, sender_name: 'Bob', message: talk[1].message, type: 'text', deleted: false }, edited_at: at(day + 1) }),
      message(bob, day + 2, '', { deleted_at: at(day + 3), deleted_by: 'Bob' }),
      message(dana, day + 3, '', { deleted_at: at(day + 4), deleted_by: 'Cy Young' }),
    ]),
    act: (page) => page.getByText('In the folder, “week 7”').click().then(() => page.keyboard.press('r')),
  },
  reactions: { server: inRoom([message(bob, day, 'We have won!', { reactions: ['🎉', '👏', '❤️', '🚀', '😂', '🙌'].map((emoji, i) => ({ emoji, count: i + 1, users: i % 2 ? [ann, bob] : [bob] })) })]) },
  'emoji picker': {
    server: inRoom(talk),
    async act(page) {
      await page.getByTestId('emoji').click()
      await page.getByTestId('emoji-picker').getByLabel('Grinning face', { exact: true }).waitFor()
    },
  },
  'message menu': { server: inRoom(talk), act: (page) => page.getByText('It has the good projector.').click().then(() => page.keyboard.press('Enter')) },
  search: {
    server: inRoom(talk, { hits: [{ message: talk[2], room_name: 'Design review', highlights: marks(talk[2], 'course', 'week') }, { message: talk[5], room_name: 'Lobby', highlights: marks(talk[5], 'room') }] }),
    act: (page) => find(page, 'room', 'hit'),
  },
  'search without hits': { server: inRoom(talk), act: (page) => find(page, 'zebra') },
  mention: { server: inRoom([...talk, message(cy, day + 40, '@Ann Lee could you bring the adapter? @Bob has none.', { mentions: [1, 2] })]) },
  unread: { server: inRoom(talk, { rooms: rooms().map((r) => (r.id === 1 ? { ...r, unread: 2, read_id: talk[6].id } : r)) }) },
  completion: {
    server: inRoom(talk),
    async act(page) {
      await page.getByTestId('composer').pressSequentially('ask @')
      await page.getByTestId('completion').waitFor()
    },
  },
  'typing, one': { server: inRoom(talk), act: (page, s) => type(page, s, [bob]) },
  'typing, three': { server: inRoom(talk), act: (page, s) => type(page, s, [bob, cy, long]) },
  people: { server: inRoom(talk), act: (page) => open(page, 'members-away') },
  activity: {
    server: inRoom(talk, { activity: [activity(4, cy, 'upload', 'Cy Young uploaded plan.pdf', 30), activity(3, bob, 'message', 'Bob wrote a message', 8), activity(2, bob, 'joined', 'Bob joined Design review', 1), activity(1, ann, 'created', 'Ann Lee made Design review', -500)] }),
    async act(page) {
      await open(page, 'members-away')
      await page.getByTestId('tab-activity').click()
      await page.getByText('uploaded plan.pdf').waitFor()
    },
  },
  'full room': {
    server: inRoom(talk, { answers: { 'POST /api/rooms/5/join': refusal(409, 'room_full', 'This room is full (100 people). Try again in a minute.') } }),
    path: '/room/5',
    ready: 'join',
    act: (page) => page.getByTestId('join').click().then(() => page.getByTestId('join-problem').waitFor()),
  },
  'no place': { server: inRoom(talk, { rooms: rooms().map((r) => (r.id === 1 ? { ...r, full: true, last: null } : r)) }), ready: 'join-problem', connected: false },
  'person menu': {
    server: inRoom(talk),
    async act(page) {
      await open(page, 'members-away')
      await page.getByTestId('member').filter({ hasText: 'Bob' }).getByRole('button').click()
      await page.getByTestId('ban').waitFor()
    },
  },
  account: {
    server: inRoom(talk, { answers: { 'PATCH /api/account': refusal(403, 'wrong_passphrase', 'That is not your passphrase.', { field: 'current' }) } }),
    path: '/',
    ready: 'room',
    async act(page) {
      await choose(page, 'account')
      await page.getByTestId('account-passphrase').fill('a few other words')
      await page.getByTestId('account-current').fill('not the one')
      await page.getByTestId('account-save').click()
      await page.getByText('That is not your passphrase.').waitFor()
    },
  },
  'account, its end': { server: inRoom(talk), path: '/', ready: 'room', act: (page) => choose(page, 'account').then(() => page.getByTestId('account-end').click()).then(() => page.getByTestId('account-delete').waitFor()) },
  banned: { server: inRoom(talk), path: '/', ready: 'room', act: (page) => choose(page, 'bans').then(() => page.getByTestId('banned').first().waitFor()) },
  'rate limited': {
    server: inRoom(talk, { answers: { 'POST /api/rooms/1/messages': refusal(429, 'rate_limited', 'You are sending very fast. Try again in 4 seconds.', { retry_after: 4 }) } }),
    act: (page) => write(page, 'one more thing').then(() => page.getByTestId('unsent-problem').waitFor()),
  },
  removed: {
    server: inRoom(talk),
    async act(page, s) {
      s.emit('room-removed', '#server-to-user-1', { room_id: 1, reason: 'removed', by: 'Cy Young', message: 'You are no longer in Design review: Cy Young removed Ann Lee.' })
      await page.getByTestId('notices').getByText('no longer in').waitFor()
      await page.getByTestId('join').waitFor()
    },
  },
  offline: {
    server: inRoom(talk, { answers: { 'POST /api/rooms/1/messages': 'abort' } }),
    async act(page) {
      await page.context().setOffline(true)
      await write(page, 'from the tunnel')
      await page.getByTestId('banner').getByText('You are offline').waitFor()
    },
  },
  reconnecting: {
    server: inRoom(talk),
    async act(page, s) {
      s.noSocket = true
      for (const ws of s.sockets) await ws.close({ code: 1001 })
      await page.getByTestId('banner').waitFor()
    },
  },
  sending: { server: inRoom(talk, { answers: { 'POST /api/rooms/1/messages': 'hang' } }), act: (page) => write(page, 'on its way, for more than a second').then(() => page.clock.runFor(1_500)) },
  failed: { server: inRoom(talk, { answers: { 'POST /api/rooms/1/messages': refusal(422, 'filtered', 'That word is not for this room.') } }), act: (page) => write(page, 'a bad word').then(() => page.getByTestId('retry').waitFor()) },
  'large paste': {
    server: inRoom(talk),
    async act(page) {
      await page.getByTestId('composer').focus()
      await page.evaluate(() => {
        const data = new DataTransfer()
        data.setData('text/plain', 'a line of a log\n'.repeat(12_500))
        document.activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))
      })
      await page.getByTestId('large-paste').waitFor()
    },
  },
  'notification prompt': {
    server: inRoom(talk),
    before: (page) =>
      page.addInitScript(() => {
        Object.defineProperty(Notification, 'permission', { get: () => 'default' })
        Object.defineProperty(navigator, 'serviceWorker', { value: { getRegistration: async () => undefined } })
        window.PushManager ??= class {}
      }),
    ready: 'push-prompt',
  },
  'new room': { server: inRoom(talk), path: '/', ready: 'room', act: (page) => list(page).then(() => page.getByTestId('new-room').click()).then(() => page.getByTestId('room-name').waitFor()) },
  'user menu': { server: inRoom(talk), path: '/', ready: 'room', act: (page) => list(page).then(() => page.getByTestId('me').click()).then(() => page.getByTestId('leave').waitFor()) },
  help: { server: inRoom(talk), path: '/', ready: 'room', act: (page) => page.keyboard.press('Control+/').then(() => page.getByText('Keys and marks').waitFor()) },
  'forced colours': { server: inRoom([...talk, message(cy, day + 40, '@Ann Lee could you bring the adapter?', { mentions: [1] })]), media: { forcedColors: 'active' } },
  print: { server: inRoom(talk), media: { media: 'print' } },
}

const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==', 'base64')

function activity(id, user, action, description, minutes) {
  return { id, room_id: 1, action, user_id: user.id, user_name: user.name, role: user.role, description, timestamp: at(day + minutes) }
}

async function find(page, words, wait) {
  await page.keyboard.press('Control+k')
  await page.getByTestId('search-input').fill(words)
  if (wait) await page.getByTestId(wait).first().waitFor()
  else await page.getByText('Nothing has').waitFor()
}

async function choose(page, item) {
  await list(page)
  await page.getByTestId('me').click()
  await page.getByTestId(item).click()
}

async function type(page, s, who) {
  for (const user of who) {
    if (user.id > 3) s.emit('pusher_internal:member_added', 'presence-room-1', { user_id: String(user.id), user_info: user })
    s.emit('client-typing', 'presence-room-1', { active: true }, { user_id: String(user.id) })
  }
  await page.getByText('typing…').waitFor()
}

async function open(page, id) {
  if ((await page.getByTestId('people').getAttribute('aria-expanded')) === 'false') await page.getByTestId('people').click()
  await page.getByTestId(id).waitFor()
}

async function write(page, text) {
  await page.getByTestId('composer').fill(text)
  await page.getByTestId('composer').press('Enter')
  await page.getByTestId('unsent').waitFor()
}

/** A phone shows the list or a room. */
async function list(page) {
  if (await page.getByTestId('back').isVisible()) await page.getByTestId('back').click()
}

/** Opens a new page in a state. */
export async function show(context, name) {
  const { server, path = '/room/1', ready, act, before, media, rtl, connected = true } = states[name]
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  await page.clock.install({ time: now })
  await page.addInitScript(() => localStorage.clear())
  if (media) await page.emulateMedia(media)
  await before?.(page)
  const s = await fake(page, structuredClone(server))
  await page.goto(origin + path)
  await page.getByTestId(ready ?? 'message').first().waitFor()
  if (connected && server.session?.user !== null && path.startsWith('/room/1')) await page.locator('[data-testid=status][data-status=connected]').waitFor({ state: 'attached' })
  if (rtl) await page.evaluate(() => (document.documentElement.dir = 'rtl'))
  if (JSON.stringify(server.messages ?? '').match(/[*`]|https?:/)) await page.locator('.markdown').first().waitFor()
  await act?.(page, s)
  return page
}
