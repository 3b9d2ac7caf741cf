import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const folder = fileURLToPath(new URL('..', import.meta.url))
const sameSecret = 'the same before and after a restart'

/** Builds the program, unless CHAT_BIN says where it is. */
export async function build() {
  if (process.env.CHAT_BIN) return { path: process.env.CHAT_BIN, remove: async () => {} }
  const dir = await mkdtemp(join(tmpdir(), 'carillon-chat-'))
  const path = join(dir, 'chat')
  await promisify(execFile)('go', ['build', '-o', path, '.'], { cwd: folder })
  return { path, remove: () => rm(dir, { recursive: true }) }
}

/** The program, running. */
export class Server {
  static async start(path) {
    const server = new Server(path)
    await server.run('127.0.0.1:0')
    return server
  }

  constructor(path) {
    this.path = path
  }

  async run(addr, secret = sameSecret) {
    this.process = spawn(this.path, ['-addr', addr, '-web', join(folder, 'web', 'dist')], {
      env: { ...process.env, CHAT_APP_SECRET: secret },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.exited = once(this.process, 'exit')
    const lines = createInterface({ input: this.process.stdout })
    const [line] = await Promise.race([
      once(lines, 'line'),
      this.exited.then(([code]) => {
        throw new Error(`the program ended with code ${code}`)
      }),
    ])
    this.url = /^Carillon chat: (http:\S+)$/.exec(line)[1]
  }

  /** Ends the program as an operator does, and waits for a clean end. */
  async kill() {
    this.process.kill('SIGTERM')
    const [code] = await this.exited
    if (code !== 0) throw new Error(`the program ended with code ${code}`)
  }

  restart(secret) {
    return this.run(new URL(this.url).host, secret)
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill()
  }
}
