// One HTTP request to a service. What is for this machine goes there: where `NODE_USE_ENV_PROXY` is set, `fetch` would hand it to the
// proxy, with the token, and the proxy's own machine would answer. https://nodejs.org/api/http.html#built-in-proxy-support
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isLoopback } from '../config/units.ts';

export type Sent = {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
};

export type Received = { readonly status: number; readonly text: string };

/** Rejects when nobody answers. */
export async function send(url: URL, sent: Sent): Promise<Received> {
  if (isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) return await sendDirectly(url, sent);
  const response = await fetch(url, sent);
  return { status: response.status, text: await response.text() };
}

const sendDirectly = (url: URL, { method, headers, body = '', signal }: Sent): Promise<Received> =>
  new Promise((resolve, reject) => {
    const request = url.protocol === 'https:' ? requestHttps : requestHttp;
    // An agent of its own knows no proxy.
    const going = request(url, { method, headers, signal, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (text += part));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode!, text }));
    });
    going.on('error', reject);
    going.end(body);
  });
