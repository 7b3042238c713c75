// AWS' Query protocol: the request is a form, the answer XML. SNS speaks it.
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
import type { AwsProtocol } from './client.ts';
import { childOf, parseXml, textOf } from './xml.ts';

/** The answer to an action is the element `<action>Result`. */
export const awsQuery: AwsProtocol = {
  contentType: 'application/x-www-form-urlencoded',
  target: () => undefined,
  read(text, action) {
    const root = parseXml(text);
    const result = childOf(root, `${action}Result`);
    if (root.name !== `${action}Response` || result === undefined) {
      throw new SyntaxError(`no ${action}Result`);
    }
    return result;
  },
  /** `<ErrorResponse><Error><Type>…</Type><Code>…</Code><Message>…</Message></Error>…</ErrorResponse>`. */
  readRefusal(text) {
    const error = childOf(parseXml(text), 'Error');
    const code = textOf(error, 'Code');
    return code === undefined ? undefined : { code, message: textOf(error, 'Message') };
  },
};

/** The body of a rare call. */
export const queryBody = (
  version: string,
  action: string,
  parameters: Readonly<Record<string, string>>,
): Buffer => Buffer.from(new URLSearchParams({ Action: action, Version: version, ...parameters }).toString());
