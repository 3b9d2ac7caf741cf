import react from '@vitejs/plugin-react'
import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'
import { compressed } from './build/compressed.ts'
import { emoji } from './build/emoji.ts'

const backend = 'http://127.0.0.1:8081'
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  plugins: [react(), emoji(), compressed()],
  resolve: {
    alias: {
      '@': here('./src'),
      // From this tree; elsewhere it is installed from npm.
      '@carillon-rt/pusher-resume': here('../../../clients/pusher-resume/src/index.ts'),
    },
  },
  build: {
    // The page's policy allows no data: URLs.
    assetsInlineLimit: 0,
    // The budget's test reads from it what a first visit loads.
    manifest: true,
    rollupOptions: {
      input: { index: here('./index.html'), sw: here('./src/sw.ts') },
      // The worker's address stays the same over all versions.
      output: { entryFileNames: (chunk) => (chunk.name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
    },
  },
  server: {
    // The Host header stays that of the page, so that origins are checked as in production.
    proxy: {
      '/api': { target: backend, changeOrigin: false },
      '/files': { target: backend, changeOrigin: false },
      '/pusher': { target: backend, changeOrigin: false },
      '/realtime': { target: backend, changeOrigin: false, ws: true },
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}'],
    exclude: configDefaults.exclude,
    restoreMocks: true,
  },
})
