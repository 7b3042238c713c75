// The schema of one entry of `functions`, as in sequin.yaml. What code says is not here yet; a path is declaration.
import { z } from 'zod';
import { nearestName } from '../../core/nearest-name.ts';
import { exported, resourceName } from './parts.ts';

/** What a path may begin with: the members of a message. */
const MEMBERS = ['record', 'changes', 'action', 'metadata'] as const;
/** As long as in Sequin. */
const MAX_PATH_CHARACTERS = 2000;
/** Types of functions that have code. */
const WITH_CODE: readonly string[] = ['transform', 'function', 'filter', 'routing', 'enrichment'];

const path = () =>
  z.string().superRefine((text, context) => {
    const fault = (message: string) => context.addIssue({ code: 'custom', message });
    const [first = '', ...others] = text.split('.');
    if (text.length > MAX_PATH_CHARACTERS)
      return fault(`a path has ${MAX_PATH_CHARACTERS} characters at most`);
    if (!(MEMBERS as readonly string[]).includes(first)) {
      const nearest = nearestName(first, MEMBERS);
      return fault(
        `a path begins with a member of the message: ${MEMBERS.join(', ')}${nearest === undefined ? '' : `; did you mean "${nearest}"?`}`,
      );
    }
    if (others.includes('')) return fault('a name is missing between two dots, or behind the last one');
    if (first === 'action' && others.length > 0) return fault('action is a text: there is nothing in it');
  });

const typeOf = () =>
  z
    .literal('path', {
      error: ({ input }) =>
        WITH_CODE.includes(String(input))
          ? `functions of the type "${String(input)}" are not in this version yet: those of type path are, and \`where\` filters`
          : 'the type of a function is path',
    })
    .optional();

const otherwise = () => z.string().optional().describe('Of the other types.');

/** What a function is, beside its name or within `function`, as older files have it. */
const definition = {
  type: typeOf().describe('Only `path` in this version.'),
  path: path()
    .optional()
    .describe(
      'Names with dots between them: `record`, `record.address.city`, `changes`, `metadata.table_name`, `action`. Where there is nothing, `null` is sent.',
    ),
  description: z.string().optional().describe('For people.'),
  code: otherwise(),
  file: otherwise(),
  sink_type: otherwise(),
};

const nested = () =>
  z.strictObject(definition).optional().describe('An older spelling: what is beside `name` else.');

/** `path`: its names, from the message itself inwards. */
export const functionSchema = z
  .strictObject({
    name: resourceName().describe('Name of the function; the `transform` of sinks refers to it.'),
    ...definition,
    function: nested(),
    transform: nested(),
    ...exported(),
  })
  .transform((entry, context) => {
    const { name, function: own, transform } = entry;
    const key = own !== undefined ? 'function' : transform !== undefined ? 'transform' : undefined;
    const written = own ?? transform ?? entry;
    const at = key === undefined ? [] : [key];
    const fault = (path: readonly string[], message: string) =>
      context.addIssue({ code: 'custom', path: [...path], message });
    if (written.type === undefined) fault(at, 'the type of this function is missing: path');
    else if (written.path === undefined) fault(at, 'the path of this function is missing, such as record');
    return { name, path: written.path?.split('.') ?? [] };
  });

export type FunctionConfig = z.output<typeof functionSchema>;
