import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const folder = fileURLToPath(new URL('..', import.meta.url))

/** Builds the program, unless CHAT_BIN says where it is. */
export async function build() {
  if (process.env.CHAT_BIN) return { path: process.env.CHAT_BIN, remove: async () => {} }
  const dir = await mkdtemp(join(tmpdir(), 'carillon-chat-'))
  const path = join(dir, 'chat')
  await promisify(execFile)('go', ['build', '-o', path, '.'], { cwd: folder })
  return { path, remove: () => rm(dir, { recursive: true }) }
}

/** The program, running, with a data folder of its own that outlives restarts. */
export class Server {
  static async start(path, flags = []) {
    const server = new Server(path, flags)
    server.data = await mkdtemp(join(tmpdir(), 'carillon-chat-data-'))
    await server.run('127.0.0.1:0')
    return server
  }

  constructor(path, flags) {
    this.path = path
    this.flags = flags
  }

  async run(addr) {
    const flags = ['-addr', addr, '-web', join(folder, 'web', 'dist'), '-data', this.data, ...this.flags]
    this.process = spawn(this.path, flags, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.exited = once(this.process, 'exit')
    this.invitations = {}
    const bound = new Promise((resolve) => {
      createInterface({ input: this.process.stdout }).on('line', (line) => {
        const [, role, link] = /^To become an? (\w+): (\S+)$/.exec(line) ?? []
        if (role) this.invitations[role] = new URL(link).pathname
        // The last line of what it says.
        if (line.startsWith('Open a private window')) resolve()
        const [, url] = /^Carillon chat: (http:\S+)$/.exec(line) ?? []
        if (url) this.url = url
      })
    })
    await Promise.race([
      bound,
      this.exited.then(([code]) => {
        throw new Error(`the program ended with code ${code}`)
      }),
    ])
  }

  /** Ends the program as an operator does, and waits for a clean end. */
  async kill() {
    this.process.kill('SIGTERM')
    const [code] = await this.exited
    if (code !== 0) throw new Error(`the program ended with code ${code}`)
  }

  /** Ends the program as a power cut does. */
  async crash() {
    this.process.kill('SIGKILL')
    await this.exited
  }

  restart() {
    return this.run(new URL(this.url).host)
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill()
    await rm(this.data, { recursive: true, force: true })
  }
}
