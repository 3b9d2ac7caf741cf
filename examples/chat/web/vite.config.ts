import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const backend = 'http://127.0.0.1:8081'

export default defineConfig({
  plugins: [react()],
  // The page's policy allows no data: URLs.
  build: { assetsInlineLimit: 0 },
  server: {
    // The Host header stays that of the page, so that origins are checked as in production.
    proxy: {
      '/api': { target: backend, changeOrigin: false },
      '/pusher': { target: backend, changeOrigin: false },
      '/realtime': { target: backend, changeOrigin: false, ws: true },
    },
  },
})
