// What runs beside pusher-js, in a page or in a worker. A page's test calls it as
// self.call; a worker is called by messages.
{
  let pusher;
  let got = [];
  const calls = {
    start(options) {
      got = [];
      pusher = new Pusher('app-key', {
        cluster: '',
        forceTLS: false,
        disableStats: true,
        enabledTransports: ['ws'],
        channelAuthorization: { endpoint: `${self.location.origin}/auth`, transport: 'ajax' },
        ...options,
      });
    },
    join(name) {
      pusher.subscribe(name).bind_global((event, data) => got.push([event, data]));
    },
    heard: (name) => got.some(([event]) => event === name),
    dataOf: (name) => got.find(([event]) => event === name)[1],
    state: () => pusher.connection.state,
    connectedBy: () => pusher.connection.connection?.transport.name,
    extensions: () => pusher.connection.connection?.transport.socket.extensions,
    subscribed: (name) => Boolean(pusher.channel(name)?.subscribed),
    members: (name) => Object.keys(pusher.channel(name).members.members).sort(),
    trigger: (name, event, data) => pusher.channel(name).trigger(event, data),
    isWorker: () => typeof document === 'undefined',
  };
  if (calls.isWorker()) {
    self.onmessage = ({ data: { id, name, args } }) => {
      try {
        self.postMessage({ id, value: calls[name](...args) });
      } catch (error) {
        self.postMessage({ id, error: String(error) });
      }
    };
  } else {
    self.call = (name, ...args) => calls[name](...args);
  }
}
