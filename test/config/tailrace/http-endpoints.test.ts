import { describe, expect, test } from 'vitest';
import { redact } from '../../../src/config/redact.ts';
import { faultLines, faultsOf, loadFiles, loadText } from '../load-config.ts';

const head = `databases:
  - name: shop
    hostname: localhost
    database: shop
    slot: { name: tailrace }
    publication: { name: tailrace }
`;
const sinkTo = (destination: string, extra = ''): string => `sinks:
  - name: users
    database: shop
    source: { include_tables: [public.users] }
${extra}    destination: ${destination}
`;
const endpoints = `http_endpoints:
  - name: external-endpoint
    url: https://api.example.com/webhook
    headers:
      - key: Content-Type
        value: application/json
      - key: X-Shop
        value: one
    encrypted_headers:
      - key: Authorization
        value: "Bearer \${TOKEN:-fallback}"
`;
const TOKEN = 'a-token-that-nobody-may-see';

describe('http_endpoints of sequin.yaml', () => {
  test('are what a webhook sink is given, with variables from the environment', async () => {
    const text =
      head +
      endpoints +
      sinkTo('{ type: webhook, http_endpoint: external-endpoint, http_endpoint_path: /custom }');
    const { settings } = await loadText(text, { TOKEN });
    expect(settings.sinks[0]).toMatchObject({
      batchSize: 1,
      destination: {
        type: 'webhook',
        config: {
          url: 'https://api.example.com/webhook',
          http_endpoint_path: '/custom',
          batch: true,
          timeout: 30_000,
          encrypted_headers: [
            { key: 'Content-Type', value: 'application/json' },
            { key: 'X-Shop', value: 'one' },
            { key: 'Authorization', value: `Bearer ${TOKEN}` },
          ],
        },
      },
    });
  });

  test('may write headers as a mapping; those of the destination win', async () => {
    const text = `${head}http_endpoints:
  - { name: e, url: "http://localhost:4000", headers: { A: "1", B: "1" }, encrypted_headers: { b: "2", C: "2" } }
${sinkTo('{ type: webhook, http_endpoint: e, headers: { c: "3" }, batch: false }', '    batch_size: 20\n')}`;
    const { settings } = await loadText(text);
    expect(settings.sinks[0]).toMatchObject({
      batchSize: 20,
      destination: {
        config: {
          encrypted_headers: [
            { key: 'A', value: '1' },
            { key: 'b', value: '2' },
            { key: 'c', value: '3' },
          ],
        },
      },
    });
  });

  test('are never shown with their headers, nor are signing secrets', async () => {
    const secret = `whsec_${Buffer.from('x'.repeat(32)).toString('base64')}`;
    const destination = `{ type: webhook, http_endpoint: external-endpoint, headers: { X-Key: ${TOKEN} }, signing_secrets: [${secret}] }`;
    const { settings } = await loadText(head + endpoints + sinkTo(destination), { TOKEN });
    const shown = JSON.stringify(redact(settings));
    expect(shown).not.toContain(TOKEN);
    expect(shown).not.toContain(secret.slice(8, 30));
    expect(shown).toContain('https://api.example.com/webhook');
  });

  test('bring their certificates, relative to the file', async () => {
    const pem = (name: string): string => `-----BEGIN ${name}-----\n`;
    const files = {
      '/srv/tailrace.yaml': `${head}http_endpoints:
  - { name: e, url: "https://host/hook", tls: { ca: tls/ca.pem, cert: cert.pem, key: key.pem, mode: require } }
${sinkTo('{ type: webhook, http_endpoint: e }')}  - name: other
    database: shop
    source: { include_tables: [public.users] }
    destination: { type: webhook, url: "https://localhost", tls: { ca: tls/ca.pem } }
`,
      '/srv/tls/ca.pem': pem('CERTIFICATE'),
      '/srv/cert.pem': pem('CERTIFICATE'),
      '/srv/key.pem': pem('PRIVATE KEY'),
    };
    const { settings, notes } = await loadFiles(files);
    const tls = settings.sinks.map(({ destination }) => (destination.config as { tls: unknown }).tls);
    expect(tls).toEqual([
      { ca: pem('CERTIFICATE'), cert: pem('CERTIFICATE'), key: pem('PRIVATE KEY'), mode: 'require' },
      { ca: pem('CERTIFICATE'), mode: 'verify-full' },
    ]);
    expect(notes).toContain(
      'sink users: TLS mode "require" does not prove that host is the server that was meant; verify-full does',
    );
    expect(JSON.stringify(redact(settings))).not.toContain('PRIVATE KEY');
  });
});

describe('faults', () => {
  test('of names stand where they are written, with the nearest name', async () => {
    const text =
      head +
      endpoints +
      '  - { name: external-endpoint, url: "https://other.example.com" }\n' +
      sinkTo('{ type: webhook, http_endpoint: external-endpiont }');
    const faults = await faultsOf(loadText(text));
    expect(faults).toMatchObject([
      { line: 18, path: 'http_endpoints[external-endpoint].name' },
      {
        line: 23,
        path: 'sinks[users].destination.http_endpoint',
        message: 'there is no entry of http_endpoints called "external-endpiont"',
        nearest: 'external-endpoint',
      },
    ]);
  });

  test.each([
    ['api.example.com/hook', 'a URL with its scheme is expected'],
    ['/hook', 'a URL with its scheme is expected'],
    ['ftp://example.com/hook', 'a URL with its scheme is expected'],
    ['"https://example.com/a b"', 'a URL with its scheme is expected'],
    ['"https://example.com/\\r\\nX-Injected: 1"', 'a URL with its scheme is expected'],
    [`"https://me:${TOKEN}@example.com/hook"`, 'credentials do not belong into a URL'],
    [`"https://${TOKEN}@example.com/hook"`, 'credentials do not belong into a URL'],
  ])('a URL like %s is refused, and not repeated', async (url, message) => {
    for (const text of [
      `${head}http_endpoints:\n  - { name: e, url: ${url} }\n`,
      head + sinkTo(`{ type: webhook, url: ${url} }`),
    ]) {
      const [fault, ...more] = await faultsOf(loadText(text));
      expect(fault?.path).toMatch(/url$/);
      expect(fault?.message).toContain(message);
      expect(more).toEqual([]);
      expect(JSON.stringify(fault)).not.toContain(TOKEN);
    }
  });

  test.each([
    ['[{ key: "X-A\\r\\nX-B", value: "1" }]', '[0].key this is not the name of a header'],
    ['[{ key: "X A", value: "1" }]', '[0].key this is not the name of a header'],
    ['[{ key: X-A, value: "1\\r\\nX-B: 2" }]', '[0].value a header has no line breaks'],
    ['{ X-A: "1\\n" }', '.X-A a header has no line breaks; a block that begins with "|"'],
    [
      '{ X-A: "漢" }',
      '.X-A the value of a header is printable ASCII, without blanks around it: it has a character',
    ],
    ['{ X-A: "a\u010db" }', '.X-A the value of a header is printable ASCII'],
    ['{ X-A: "a\u010ab" }', '.X-A the value of a header is printable ASCII'],
    ['{ X-A: "é" }', '.X-A the value of a header is printable ASCII'],
    ['{ X-A: "a\\0b" }', '.X-A the value of a header is printable ASCII'],
    ['{ X-A: "token " }', '.X-A the value of a header is printable ASCII, without blanks around it'],
    ['[{ key: Content-Length, value: "1" }]', "[0].key the header content-length is Tailrace's own"],
    ['{ Host: "other" }', ".Host the header host is Tailrace's own"],
    ['{ Webhook-Signature: "v1,x" }', ".Webhook-Signature the header webhook-signature is Tailrace's own"],
    ['{ Content-Encoding: "br" }', '.Content-Encoding gzip is the only content-encoding'],
    ['[{ key: a, value: "1" }, { key: A, value: "2" }]', '[1].key the header a is written twice'],
    ['{ X-A: [1] }', ' headers are a list of `key` and `value`, or a mapping'],
    ['"(2 encrypted header(s))"', ' headers are a list of `key` and `value`, or a mapping'],
  ])('headers like %s are refused', async (headers, message) => {
    const text = `${head}http_endpoints:\n  - { name: e, url: "http://host", encrypted_headers: ${headers} }\n`;
    const lines = await faultLines(loadText(text));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`http_endpoints[e].encrypted_headers${message}`);
  });

  test.each([
    ['{ type: webhook }', 'url no endpoint: write http_endpoint, or url'],
    ['{ type: webhook, url: "http://h", http_endpoint: e }', 'url http_endpoint says this already'],
    ['{ type: webhook, http_endpoint: e, tls: {} }', 'tls write this at the entry of http_endpoints'],
    ['{ type: webhook, url: "http://h", tls: {} }', 'tls this needs an https URL'],
    ['{ type: webhook, url: "https://h", tls: { cert: "-----BEGIN" } }', 'tls.cert cert and key go together'],
    [
      '{ type: webhook, http_endpoint: e, http_endpoint_path: custom }',
      'http_endpoint_path a path is expected',
    ],
    [
      '{ type: webhook, http_endpoint: e, batch: false, partial_acknowledgement: true }',
      'partial_acknowledgement a request of one message has no parts',
    ],
    [
      '{ type: webhook, http_endpoint: e, signing_secrets: [secret] }',
      'signing_secrets[0] a signing secret is whsec_',
    ],
    [
      '{ type: webhook, http_endpoint: e, signing_secrets: [whsec_c2hvcnQ=] }',
      'signing_secrets[0] a signing secret is whsec_',
    ],
    ['{ type: webhook, http_endpoint: e, timeout: 2h }', 'timeout at most an hour is possible'],
    ['{ type: webhook, http_endpoint: e, message_statuses: [500] }', 'message_statuses[0] one of 401, 403'],
  ])('the destination %s is refused', async (destination, message) => {
    const text = `${head}http_endpoints: [{ name: e, url: "http://host" }]\n${sinkTo(destination)}`;
    const lines = await faultLines(loadText(text));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`sinks[users].destination.${message}`);
  });

  test('tunnels and test endpoints of Sequin’s cloud are refused with what to write instead', async () => {
    const text = `${head}http_endpoints:
  - { name: a, url: "http://localhost:4000", local: true }
  - { name: b, url: "http://localhost:4000", webhook.site: true }
`;
    expect(await faultLines(loadText(text))).toEqual([
      expect.stringMatching(/^8:.*\.local Sequin Cloud's tunnels are not here: write url/),
      expect.stringMatching(/^9:.*\.webhook\.site test endpoints of webhook\.site are not here: write url/),
    ]);
  });
});
