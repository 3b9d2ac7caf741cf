// A user who means ill: what they send is shown as what it is, and what is not theirs stays shut.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, test } from 'node:test'
import { crc32, deflateSync } from 'node:zlib'
import { useWorld } from './world.mjs'

/** A picture of one colour, in few bytes. */
function bomb(width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([8, 6], 8)
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.alloc(1_000_000))), chunk('IEND', Buffer.alloc(0))])
}

function get(url, path, cookie) {
  return new Promise((resolve, reject) => {
    const asked = request(url, { path, headers: { Cookie: cookie } }, (answer) => {
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', (text) => (body += text))
      answer.on('end', () => resolve({ status: answer.statusCode, body }))
    })
    asked.on('error', reject)
    asked.end()
  })
}

const scripts = [
  '<script>window.hit=1</script>',
  '<img src=x onerror="window.hit=1">',
  '<svg onload=window.hit=1>',
  '[click](javascript:window.hit=1)',
  '[click](data:text/html,<script>window.hit=1</script>)',
  '<javascript:window.hit=1>',
  '![x](x" onerror="window.hit=1)',
  '[a]: javascript:window.hit=1\n\n[a]',
  '`</code><script>window.hit=1</script>`',
  '```"><img src=x onerror=window.hit=1>\nx\n```',
  '@Ann <iframe srcdoc="<script>parent.hit=1</script>">',
  '{{constructor.constructor("window.hit=1")()}}',
]

describe('a hostile user', { timeout: 180_000 }, () => {
  const world = useWorld('-messages', '100000')

  test('runs no script by names, messages, rooms or files', async () => {
    const { tab: ann } = await world.enter('Ann')
    const evil = await world.client('<img src=x onerror=window.hit=1>')
    await evil.call('POST', '/api/rooms/1/join').catch(() => undefined)
    await evil.post(1, scripts)
    for (const name of ['<img src=x onerror=window.hit=1>.txt', '"><script>window.hit=1<script>.html']) {
      const { file } = await (await evil.upload(1, name, Buffer.from('<script>window.hit=1</script>'), 'text/html')).json()
      await evil.call('POST', '/api/rooms/1/messages', { client_id: `f${file.id}`, message: '', file_id: file.id })
    }
    await evil.call('POST', '/api/rooms', { name: '<svg onload=window.hit=1>', kind: 'open', topic: '<script>window.hit=1</script>' })
    await ann.get('file').nth(1).waitFor()
    await ann.page.reload()
    await ann.get('file').nth(1).waitFor()
    const made = await ann.page.evaluate(() => ({
      hit: window.hit,
      elements: document.querySelectorAll('.message :is(script, iframe, object, svg[onload], img[src="x"], [onerror], [onload])').length,
      links: [...document.querySelectorAll('.message a[href]')].map((a) => new URL(a.href).protocol).filter((p) => !/^(https?|mailto):$/.test(p)),
    }))
    assert.deepEqual(made, { hit: undefined, elements: 0, links: [] })
  })

  test('has nothing run that was uploaded', async () => {
    const evil = await world.client('Eve')
    await evil.call('POST', '/api/rooms/1/join').catch(() => undefined)
    const html = '<!doctype html><script>window.hit=1;document.title="hit"</script>'
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>window.hit=1</script></svg>'
    const png = Buffer.from('89504e470d0a1a0a', 'hex')
    const tries = [
      ['page.html', html, 'text/html'],
      ['picture.svg', svg, 'image/svg+xml'],
      ['picture.png', html, 'image/png'],
      ['both.png', Buffer.concat([png, Buffer.from(html)]), 'text/html'],
      ['../../../../etc/passwd', html, 'text/html'],
      ['C:\\evil.html', html, 'text/html'],
    ]
    const { tab: ann } = await world.enter('Ann')
    for (const [name, body, type] of tries) {
      const answer = await evil.upload(1, name, Buffer.from(body), type)
      if (answer.status === 415) continue
      const { file } = await answer.json()
      await evil.call('POST', '/api/rooms/1/messages', { client_id: `x${file.id}`, message: name, file_id: file.id })
      const got = await ann.page.evaluate(async (url) => {
        const response = await fetch(url)
        return Object.fromEntries(['content-disposition', 'content-security-policy', 'x-content-type-options', 'content-type'].map((h) => [h, response.headers.get(h) ?? '']))
      }, file.url)
      assert.equal(got['x-content-type-options'], 'nosniff', name)
      const inline = !got['content-disposition'].startsWith('attachment')
      assert.ok(!inline || /^image\/(png|jpeg|gif|webp)/.test(got['content-type']), `${name}: ${JSON.stringify(got)}`)
      assert.match(got['content-security-policy'], /default-src 'none'|sandbox/, name)
    }
    assert.equal(await ann.page.evaluate(() => window.hit), undefined)
  })

  test('brings down nothing by a picture that is a bomb, and gets no file by tricks with paths', async () => {
    const evil = await world.client('Eve')
    const { file } = await (await evil.upload(1, 'mine.txt', Buffer.from('mine'), 'text/plain')).json()
    // 60 000 x 60 000 pixels of nothing, which would take 14 GB.
    const refused = await evil.upload(1, 'bomb.png', bomb(60_000, 60_000), 'image/png')
    assert.equal(refused.status, 415)
    assert.match((await refused.json()).error.message, /^That picture is too large to show: 60000 × 60000 pixels/)
    for (const path of [
      `/files/${file.id}/..%2f..%2fkeys.json`,
      '/files/..%2fkeys.json/x',
      '/files/%2e%2e/keys.json',
      '/..%2fkeys.json',
      '/assets/..%2f..%2f..%2fmain.go',
      '/assets/',
      '/.vite/',
      '/%00',
      '//etc/passwd',
      '/index.html/../../main.go',
      `/files/${file.id}.thumb/x`,
    ]) {
      // fetch would take the dots out of the path before it is sent.
      const { status, body } = await get(world.server.url, path, evil.cookie)
      assert.ok(status < 500, `${path}: ${status}`)
      assert.doesNotMatch(body, /PushPrivate|package main|root:|<pre>/, path)
    }
    await evil.post(1, ['still there'])
  })

  test('gets into no room of others, and forges nothing', async () => {
    const { tab: ann } = await world.enter('Ann')
    await ann.makeRoom('Secret', { closed: true })
    await ann.write('for nobody else')
    await ann.sees('for nobody else')
    const id = Number(new URL(ann.page.url()).pathname.split('/')[2])
    const { tab: eve } = await world.enter('Eve')
    const socket = eve.page.evaluate(
      async ([id]) => {
        const ws = new WebSocket(`ws://${location.host}/realtime/app/chat-key?protocol=7&client=js&version=8.6.0`)
        const got = []
        ws.onmessage = (m) => got.push(m.data)
        await new Promise((resolve) => (ws.onopen = resolve))
        const subscribe = (channel, auth, channel_data) => ws.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel, auth, channel_data } }))
        subscribe(`private-room-${id}`, 'chat-key:0123456789abcdef')
        subscribe(`presence-room-${id}`, 'chat-key:00', JSON.stringify({ user_id: '1', user_info: { id: 1, name: 'Ann' } }))
        subscribe(`room-${id}`, '')
        subscribe('#server-to-user-1', '')
        ws.send(JSON.stringify({ event: 'client-typing', channel: `presence-room-${id}`, data: { active: true } }))
        ws.send(JSON.stringify({ event: 'new-message', channel: 'room-1', data: '{"message":"forged"}' }))
        await new Promise((resolve) => setTimeout(resolve, 700))
        ws.close()
        return got.filter((m) => /subscription_succeeded|new-message/.test(m))
      },
      [id],
    )
    await ann.write('still for nobody else')
    await ann.sees('still for nobody else')
    const heard = await socket
    assert.ok(!heard.some((m) => m.includes('nobody else') || m.includes(`private-room-${id}`) || m.includes(`presence-room-${id}`)), heard.join('\n'))
    assert.equal(await ann.page.getByText('forged').count(), 0)
    const last = (await ann.page.evaluate(async (id) => (await fetch(`/api/rooms/${id}/messages`)).json(), id)).messages.at(-1).id
    const eveApi = await world.client('Eve')
    for (const [method, path, body] of [
      ['PATCH', `/api/rooms/${id}/messages/${last}`, { message: 'mine now' }],
      ['DELETE', `/api/rooms/${id}/messages/${last}`],
      ['PUT', `/api/rooms/${id}/messages/${last}/reactions/%F0%9F%91%8D`],
      ['DELETE', `/api/rooms/${id}/members/1`],
      ['PATCH', `/api/rooms/${id}`, { name: 'mine' }],
      ['GET', `/api/rooms/${id}/activity`],
      ['POST', '/api/invitations', { role: 'admin' }],
    ]) {
      await assert.rejects(eveApi.call(method, path, body), (err) => [403, 404].includes(err.status), `${method} ${path}`)
    }
    assert.deepEqual((await eveApi.call('GET', `/api/search?q=nobody`)).hits, [])
  })
})
