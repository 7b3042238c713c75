// A certificate authority that signs what a test asks for: servers, clients, what has expired, keys that are encrypted.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Issued = { readonly cert: string; readonly key: string };

export type CertificateAuthority = {
  /** The certificate that signs the others. */
  readonly cert: string;
  /** `names`: as in subjectAltName, `DNS:localhost,IP:127.0.0.1`. */
  issue(subject: {
    readonly commonName: string;
    readonly names?: string;
    readonly expired?: boolean;
    readonly passphrase?: string;
  }): Issued;
};

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

const CONFIG = (directory: string): string => `
[ca]
default_ca = here
[here]
dir = ${directory}
database = ${directory}/index.txt
serial = ${directory}/serial
new_certs_dir = ${directory}
certificate = ${directory}/ca.pem
private_key = ${directory}/ca.key
default_md = default
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
`;

const openssl = (...args: readonly string[]): void => {
  execFileSync('openssl', args, { stdio: 'ignore' });
};

/** In a directory that is gone afterwards. */
function inDirectory<Result>(work: (at: (file: string) => string) => Result): Result {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-ca-'));
  try {
    return work((file) => join(directory, file));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** `key`: what it signs with, in openssl's words. */
export function certificateAuthority(name: string, key: readonly string[] = EC): CertificateAuthority {
  const authority = inDirectory((at) => {
    const files = ['-keyout', at('ca.key'), '-out', at('ca.pem')];
    openssl('req', '-x509', ...key, '-days', '2', '-subj', `/CN=${name}`, ...files);
    return { cert: readFileSync(at('ca.pem'), 'utf8'), key: readFileSync(at('ca.key'), 'utf8') };
  });
  let serial = 0;
  return {
    cert: authority.cert,
    issue: (subject) =>
      inDirectory((at) => {
        writeFileSync(at('ca.pem'), authority.cert);
        writeFileSync(at('ca.key'), authority.key);
        writeFileSync(at('openssl.cnf'), CONFIG(at('.')));
        writeFileSync(at('index.txt'), '');
        writeFileSync(at('serial'), (0x1000 + serial++).toString(16));
        return sign(subject, at);
      }),
  };
}

function sign(
  { commonName, names, expired, passphrase }: Parameters<CertificateAuthority['issue']>[0],
  at: (file: string) => string,
): Issued {
  const extension = names === undefined ? [] : ['-addext', `subjectAltName=${names}`];
  openssl('req', ...EC, '-subj', `/CN=${commonName}`, ...extension, '-keyout', at('key'), '-out', at('csr'));
  const validity =
    expired === true ? ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z'] : ['-days', '2'];
  const files = ['-in', at('csr'), '-out', at('cert')];
  openssl('ca', '-batch', '-config', at('openssl.cnf'), ...validity, '-notext', ...files);
  if (passphrase !== undefined) {
    const cipher = ['-aes256', '-passout', `pass:${passphrase}`];
    openssl('pkey', '-in', at('key'), ...cipher, '-out', at('locked'));
  }
  const key = passphrase === undefined ? 'key' : 'locked';
  return { cert: readFileSync(at('cert'), 'utf8'), key: readFileSync(at(key), 'utf8') };
}
