import Echo from 'laravel-echo'
import Pusher from 'pusher-js'

/** Opens a connection to the server that the page came from. */
export function connect(): Echo<'pusher'> {
  const secure = location.protocol === 'https:'
  const port = Number(location.port) || (secure ? 443 : 80)
  return new Echo({
    broadcaster: 'pusher',
    Pusher,
    key: 'chat-key',
    cluster: '',
    wsHost: location.hostname,
    wsPort: port,
    wssPort: port,
    wsPath: '/realtime',
    forceTLS: secure,
    // With 'wss' in it, pusher-js would try TLS on a plain port too.
    enabledTransports: secure ? ['ws', 'wss'] : ['ws'],
    authEndpoint: '/pusher/auth',
    namespace: false,
    withoutInterceptors: true,
  })
}
