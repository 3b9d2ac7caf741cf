// What stands before the servers of a cluster: new connections go where it points.

import { createServer, connect } from 'node:net';

export class Balancer {
  static async start(t, to) {
    const balancer = new Balancer();
    balancer.to = to;
    const sockets = new Set();
    const server = createServer((client) => {
      const upstream = connect(balancer.to, '127.0.0.1');
      for (const [from, into] of [[client, upstream], [upstream, client]]) {
        sockets.add(from);
        from.pipe(into);
        from.on('error', () => into.destroy());
        from.on('close', () => sockets.delete(from));
      }
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    balancer.port = server.address().port;
    return balancer;
  }
}
