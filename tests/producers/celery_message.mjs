// Submits a workflow to gostage as a message of Celery, by Redis alone, and prints the result as JSON.
//
//     REDIS_URL=redis://localhost:6379/0 node celery_message.mjs <definition.json
//
// GOSTAGE_NAMESPACE names the queue, KEY the event that the run is for; STORE has first values as JSON.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createClient } from '@redis/client';

const queue = process.env.GOSTAGE_NAMESPACE ?? 'gostage';
const key = process.env.KEY ?? randomUUID();
const replyTo = `replies:${randomUUID()}`;
const definition = JSON.parse(readFileSync(0, 'utf8'));
const store = JSON.parse(process.env.STORE ?? '{}');

// Celery's message protocol, version 2, in the envelope that kombu gives it on Redis.
function message(task, args, kwargs) {
  const id = randomUUID();
  const body = JSON.stringify([args, kwargs, {}]);
  return JSON.stringify({
    body: Buffer.from(body).toString('base64'),
    'content-type': 'application/json',
    'content-encoding': 'utf-8',
    headers: { lang: 'js', task, id, root_id: id },
    properties: {
      correlation_id: id,
      delivery_mode: 2,
      delivery_tag: id,
      delivery_info: { exchange: '', routing_key: queue },
      body_encoding: 'base64',
    },
  });
}

const redis = await createClient({ url: process.env.REDIS_URL }).connect();
try {
  let reply = null;
  // The same key is the same run: a message that may be lost is sent again.
  for (let tries = 0; reply === null && tries < 6; tries += 1) {
    await redis.lPush(queue, message('gostage.submit', [definition], { key, store, reply_to: replyTo }));
    reply = await redis.blPop(replyTo, 15);
  }
  if (reply === null) throw new Error('no reply');
  console.log(reply.element);
} finally {
  await redis.close();
}
