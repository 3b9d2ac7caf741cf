// A client that reports all that it is told: in Node and in a page.

const kinds = ['news', 'private-room', 'presence-room', 'private-encrypted-room', 'cache-room'];

/** channelsOf are the names of a client's channels; of pusher-js 4 without those of users. */
export const channelsOf = ({ label, version }) => [
  ...kinds.map((kind) => `${kind}-${label}`),
  ...(version === '4.4' ? [] : [`#server-to-user-${label}`]),
];

/** optionsOf are pusher-js's options. post asks the backend. */
function optionsOf({ label, port, transport, slow }, post) {
  const authorize = async (path, body, done) => {
    // Some are slower than the connection lives.
    await new Promise((resolve) => setTimeout(resolve, slow ? Math.random() ** 4 * 2000 : 0));
    const answer = await post(path, { ...body, user: label }).catch((error) => ({ error }));
    done(answer.error ?? null, answer);
  };
  return {
    cluster: '',
    forceTLS: false,
    disableStats: true,
    enabledTransports: [transport],
    ...Object.fromEntries(['wsHost', 'httpHost'].map((name) => [name, '127.0.0.1'])),
    ...Object.fromEntries(['wsPort', 'httpPort'].map((name) => [name, port])),
    // Twice of the first is a life that is long enough for pusher-js.
    activityTimeout: 300,
    activity_timeout: 300,
    pongTimeout: 1500,
    pong_timeout: 1500,
    authorizer: ({ name }) => ({ authorize: (socket, done) => void authorize('/auth', { socket, channel: name }, done) }),
    userAuthentication: { customHandler: ({ socketId }, done) => void authorize('/user-auth', { socket: socketId }, done) },
  };
}

/**
 * start connects and subscribes. report gets what happens: state and socket ID; or a
 * channel, what it was told, and a number.
 */
export function start({ Pusher, resume, Echo, setup, post, report }) {
  const pusher = new Pusher('app-key', optionsOf(setup, post));
  if (setup.echo !== 'connector') resume(pusher);
  const echo = setup.echo && new Echo({ broadcaster: 'pusher', key: 'app-key', client: pusher, withoutInterceptors: true });
  if (setup.echo) resume(echo.connector.pusher);
  pusher.connection.bind('state_change', ({ current }) => report({ state: current, socket: pusher.connection.socket_id }));

  let count = 0;
  const listen = (name, bind) => {
    const hear = (what, data) => {
      report({ channel: name, what, n: data?.n ?? data?.missed });
      // pusher-js 4.4 calls once more who throws on an encrypted channel.
      const calm = setup.version === '4.4' && name.startsWith('private-encrypted-');
      if (setup.throws && !calm && ++count % 5 === 0) throw new Error('of the application');
    };
    for (const event of ['n', 'own']) bind(event, (data) => hear(event, data));
    for (const told of ['resumed', 'gap', 'subscription_succeeded', 'subscription_error']) {
      bind(`pusher:${told}`, (data) => hear(told, data));
    }
  };
  for (const name of channelsOf(setup)) {
    if (name[0] === '#') {
      listen(name, (event, callback) => pusher.user.bind(event, callback));
      pusher.connection.bind('message', ({ event, channel }) => {
        if (event === 'pusher_internal:subscription_succeeded' && channel === name) report({ channel, what: 'subscription_succeeded' });
      });
      pusher.signin();
    } else if (echo) {
      const join = { 'private-encrypted-': 'encryptedPrivate', 'private-': 'private', 'presence-': 'join' };
      const [prefix, method] = Object.entries(join).find(([p]) => name.startsWith(p)) ?? ['', 'channel'];
      const channel = echo[method](name.slice(prefix.length));
      listen(name, (event, callback) => channel.listen(`.${event}`, callback));
    } else {
      const channel = pusher.subscribe(name);
      listen(name, (event, callback) => channel.bind(event, callback));
    }
  }
  return pusher;
}
