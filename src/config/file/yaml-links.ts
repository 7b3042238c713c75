// Aliases and anchors of a YAML document.
import { isAlias, isMap, visit, type Document, type Node, type Pair } from 'yaml';

/** Which node each alias means, and which top-level keys lend anchors to others. */
export type Links = {
  readonly targets: ReadonlyMap<unknown, unknown>;
  hasAnchors(pair: Pair): boolean;
  isUsedElsewhere(pair: Pair): boolean;
};

/** In one walk: to resolve an alias by itself is to walk through the document, and they may be many. */
export function linksIn({ contents }: Document.Parsed): Links {
  const targets = new Map<unknown, unknown>();
  const anchored = new Map<string, { readonly node: unknown; readonly top: unknown }>();
  const withAnchors = new Set<unknown>();
  const used = new Set<unknown>();
  const tops = isMap(contents) ? contents.items : [];
  for (const top of tops) {
    const note = (_key: unknown, node: Node): void => {
      if (isAlias(node)) {
        const meant = anchored.get(node.source);
        targets.set(node, meant?.node);
        if (meant !== undefined && meant.top !== top) used.add(meant.top);
      } else if ('anchor' in node && node.anchor !== undefined) {
        anchored.set(node.anchor, { node, top });
        withAnchors.add(top);
      }
    };
    for (const part of [top.key, top.value]) if (part !== null) visit(part, { Node: note });
  }
  return {
    targets,
    hasAnchors: (pair) => withAnchors.has(pair),
    isUsedElsewhere: (pair) => used.has(pair),
  };
}
