// Requests that the server SDK would not make: signed by hand, with its Token.

import { createHash } from 'node:crypto';
import Backend from 'pusher';
import { credentials } from './server.mjs';

/**
 * request sends a signed request and returns its response. Every part of the
 * signature can be given; a parameter that is undefined is left out.
 */
export function request(world, { method = 'GET', path, signedPath = path, body, secret = credentials.secret, params = {} }) {
  const all = {
    auth_key: credentials.key,
    auth_timestamp: Math.floor(Date.now() / 1000),
    auth_version: '1.0',
    body_md5: body === undefined ? undefined : createHash('md5').update(body).digest('hex'),
    ...params,
  };
  const pairs = Object.entries(all)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
  const signed = [method, signedPath, pairs.map(([k, v]) => `${k.toLowerCase()}=${v}`).join('&')].join('\n');
  const signature = new Backend.Token(credentials.key, secret).sign(signed);
  const query = new URLSearchParams([...pairs, ['auth_signature', params.auth_signature ?? signature]]);
  return fetch(`${world.server.url.origin}${path}?${query}`, {
    method,
    body,
    headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
  });
}
