import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { World, credentials, subscribe, heard } from '../lib/world.mjs';
import { Receiver } from '../lib/receiver.mjs';
import { eventually } from '../lib/wait.mjs';

/** hooked is a server that sends its webhooks to a receiver. */
async function hooked(t, flags = [], answer) {
  // The server ends first, since it delivers what is left when it ends.
  const world = new World();
  t.after(() => world.end());
  const receiver = await Receiver.start(t, answer);
  await world.run(['-webhook', receiver.url, ...flags]);
  return { world, receiver };
}

const names = (receiver) => receiver.events.all.map((e) => e.name);

describe('webhooks', { concurrency: 6 }, () => {
  test('a request is signed as the official SDK checks it', async (t) => {
    const { world, receiver } = await hooked(t);
    const before = Date.now();
    await subscribe(await world.connected(), 'news');
    const request = await receiver.requests.next();
    assert.equal(request.method, 'POST');
    assert.equal(request.headers['content-type'], 'application/json');
    assert.equal(request.headers['x-pusher-key'], credentials.key);
    assert.equal(request.valid, true);
    assert.deepEqual(request.webhook.getEvents(), [{ name: 'channel_occupied', channel: 'news' }]);
    const time = request.webhook.getTime().getTime();
    assert.ok(time >= before - 1000 && time <= Date.now() + 1000, `time_ms ${time}`);

    const forged = world.backend({ secret: 'wrong' }).webhook(request);
    assert.equal(forged.isValid(), false);
  });

  test('a channel is occupied once, and vacated a while after its last subscriber has gone', async (t) => {
    const { world, receiver } = await hooked(t);
    const [one, two] = [await world.connected(), await world.connected()];
    await subscribe(one, 'news');
    await subscribe(two, 'news');
    await receiver.next('channel_occupied');
    one.unsubscribe('news');
    two.disconnect();
    const left = Date.now();
    assert.deepEqual(await receiver.next('channel_vacated'), { name: 'channel_vacated', channel: 'news' });
    assert.ok(Date.now() - left > 2000, 'vacated is held back');
    assert.deepEqual(names(receiver), ['channel_occupied', 'channel_vacated']);
  });

  test('a channel and a member that come back at once are no news', async (t) => {
    const { world, receiver } = await hooked(t);
    const client = await world.connected({ user: { id: 'ann' } });
    await subscribe(client, 'presence-room');
    await receiver.next('channel_occupied');
    await receiver.next('member_added');
    client.disconnect();
    await eventually(
      async () => (await world.backend().get({ path: '/channels' })).json(),
      (b) => Object.keys(b.channels).length === 0,
    );
    await subscribe(await world.connected({ user: { id: 'ann' } }), 'presence-room');
    // What happens to another channel later is told after the hold of this one.
    const other = await world.connected();
    await subscribe(other, 'other');
    other.disconnect();
    await receiver.next('channel_vacated');
    assert.deepEqual(names(receiver).sort(), ['channel_occupied', 'channel_occupied', 'channel_vacated', 'member_added']);
  });

  test('members are added and removed once per user', async (t) => {
    const { world, receiver } = await hooked(t);
    const clients = [];
    for (const id of ['ann', 'ann', 'bob']) {
      const client = await world.connected({ user: { id, user_info: { name: id } } });
      await subscribe(client, 'presence-room');
      clients.push(client);
    }
    assert.deepEqual(await receiver.next('member_added'), { name: 'member_added', channel: 'presence-room', user_id: 'ann' });
    assert.deepEqual(await receiver.next('member_added'), { name: 'member_added', channel: 'presence-room', user_id: 'bob' });
    clients[0].disconnect();
    clients[2].disconnect();
    assert.deepEqual(await receiver.next('member_removed'), { name: 'member_removed', channel: 'presence-room', user_id: 'bob' });
    clients[1].disconnect();
    assert.deepEqual(await receiver.next('member_removed'), { name: 'member_removed', channel: 'presence-room', user_id: 'ann' });
    await receiver.next('channel_vacated');
    assert.deepEqual(names(receiver).sort(), [
      'channel_occupied', 'channel_vacated', 'member_added', 'member_added', 'member_removed', 'member_removed',
    ]);
  });

  test('client events are told with their sender', async (t) => {
    const { world, receiver } = await hooked(t, ['-webhook-events', 'client_event']);
    const client = await world.connected({ user: { id: 'ann' } });
    const member = await subscribe(client, 'presence-room');
    const other = await subscribe(client, 'private-room');
    member.trigger('client-typing', { on: true });
    assert.deepEqual(await receiver.next('client_event'), {
      name: 'client_event',
      channel: 'presence-room',
      event: 'client-typing',
      data: '{"on":true}',
      socket_id: client.connection.socket_id,
      user_id: 'ann',
    });
    other.trigger('client-text', 'plain');
    const plain = await receiver.next('client_event');
    assert.equal(plain.channel, 'private-room');
    assert.equal(typeof plain.data, 'string');
    assert.equal(plain.user_id, undefined);
    await world.backend().trigger('private-room', 'of-the-backend', {});
    other.trigger('client-end', {});
    assert.equal((await receiver.next('client_event')).event, 'client-end');
    assert.deepEqual(names(receiver), ['client_event', 'client_event', 'client_event']);
  });

  test('a cache miss is told', async (t) => {
    const { world, receiver } = await hooked(t, ['-webhook-events', 'cache_miss']);
    await subscribe(await world.connected(), 'cache-x');
    assert.deepEqual(await receiver.next('cache_miss'), { name: 'cache_miss', channel: 'cache-x' });
    await world.backend().trigger('cache-x', 'x', {});
    await subscribe(await world.connected(), 'cache-x');
    await subscribe(await world.connected(), 'cache-y');
    assert.deepEqual(await receiver.next('cache_miss'), { name: 'cache_miss', channel: 'cache-y' });
  });

  test('subscription counts are told', async (t) => {
    const { world, receiver } = await hooked(t, ['-subscription-counts', '-webhook-events', 'subscription_count']);
    await subscribe(await world.connected(), 'news');
    await subscribe(await world.connected(), 'news');
    for (const subscription_count of [1, 2]) {
      assert.deepEqual(await receiver.next('subscription_count'), { name: 'subscription_count', channel: 'news', subscription_count });
    }
  });

  test('only the events that were asked for are sent', async (t) => {
    const { world, receiver } = await hooked(t, ['-webhook-events', 'member_added,channel_vacated']);
    const client = await world.connected({ user: { id: 'ann' } });
    await subscribe(client, 'presence-room');
    await receiver.next('member_added');
    client.disconnect();
    await receiver.next('channel_vacated');
    assert.deepEqual(names(receiver), ['member_added', 'channel_vacated']);
  });

  test('only channels with the prefix are told of', async (t) => {
    const { world, receiver } = await hooked(t, ['-webhook-channels', 'private-']);
    const client = await world.connected();
    await subscribe(client, 'news');
    await subscribe(client, 'private-room');
    assert.equal((await receiver.next('channel_occupied')).channel, 'private-room');
    assert.equal(receiver.requests.all.length, 1);
  });

  test('without batches each request has one event', async (t) => {
    const { world, receiver } = await hooked(t);
    const client = await world.connected();
    for (let i = 0; i < 5; i++) await subscribe(client, `channel-${i}`);
    for (let i = 0; i < 5; i++) assert.equal((await receiver.next('channel_occupied')).channel, `channel-${i}`);
    assert.equal(receiver.requests.all.length, 5);
  });

  test('with batches a request has several events, in their order', async (t) => {
    const { world, receiver } = await hooked(t, ['-webhook-batch']);
    const client = await world.connected();
    const channels = Array.from({ length: 30 }, (_, i) => `channel-${i}`);
    await Promise.all(channels.map((name) => subscribe(client, name)));
    for (const channel of channels) assert.equal((await receiver.next('channel_occupied')).channel, channel);
    const sizes = receiver.requests.all.map((r) => r.webhook.getEvents().length);
    assert.ok(sizes.length < 30 && sizes.every((n) => n <= 20), `events in each request: ${sizes}`);
  });

  test('a request that is not taken is sent again, with the same signature', async (t) => {
    const { world, receiver } = await hooked(t, [], (n) => (n === 0 ? 500 : 200));
    await subscribe(await world.connected(), 'news');
    await receiver.next('channel_occupied');
    const [first, second] = receiver.requests.all;
    assert.equal(first.rawBody, second.rawBody);
    assert.equal(first.headers['x-pusher-signature'], second.headers['x-pusher-signature']);
    assert.deepEqual(names(receiver), ['channel_occupied']);
  });

  test('several receivers get the same', async (t) => {
    const world = new World();
    t.after(() => world.end());
    const receivers = [await Receiver.start(t), await Receiver.start(t)];
    await world.run(receivers.flatMap((r) => ['-webhook', r.url]));
    await subscribe(await world.connected(), 'news');
    for (const receiver of receivers) assert.equal((await receiver.next('channel_occupied')).channel, 'news');
  });

  test('a receiver that is away does not hold up the clients', async (t) => {
    const world = new World();
    t.after(() => world.end());
    await world.run(['-webhook', 'http://127.0.0.1:1/']);
    const channel = await subscribe(await world.connected(), 'news');
    await world.backend().trigger('news', 'x', {});
    await heard(channel, 'x');
    await world.server.kill();
  });

  test('what is held is told when the server ends', async (t) => {
    const { world, receiver } = await hooked(t);
    const client = await world.connected({ user: { id: 'ann' } });
    await subscribe(client, 'presence-room');
    await receiver.next('member_added');
    await world.server.stop();
    await receiver.next('member_removed');
    await receiver.next('channel_vacated');
  });
});
