// What a backend does: sign, and publish over the HTTP API.

import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { credentials } from '../lib/server.mjs';

const hmac = (text) => createHmac('sha256', credentials.secret).update(text).digest('hex');

/** sign signs what authorizes a socket. */
export const sign = (text) => `${credentials.key}:${hmac(text)}`;

/** publish publishes on the channel room, unless more says otherwise. */
export async function publish(server, name, data, more = {}) {
  const body = JSON.stringify({ name, channel: 'room', data, ...more });
  const query = [
    `auth_key=${credentials.key}`, `auth_timestamp=${Math.floor(Date.now() / 1000)}`, 'auth_version=1.0',
    `body_md5=${createHash('md5').update(body).digest('hex')}`,
  ].join('&');
  const path = `/apps/${credentials.appId}/events`;
  const signature = hmac(`POST\n${path}\n${query}`);
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}?${query}&auth_signature=${signature}`, { method: 'POST', body });
  assert.equal(answer.status, 200, await answer.text());
}
