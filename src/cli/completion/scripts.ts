// The scripts that teach a shell to complete `tailrace`: each asks the program itself (`tailrace complete -- WORDS`), so none goes stale.
// An answer is a line that says what is meant (words, files, directories), then a line a candidate: the word, a tab, what it is.

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** Bash 3.2 (macOS) or newer. It cuts words at `=` and `:`, so a candidate goes without what stands in front of the last of them. https://www.gnu.org/software/bash/manual/html_node/Programmable-Completion.html */
const BASH = `# bash completion for tailrace
_tailrace() {
  local line kind candidate current kept
  local -a words
  line=\${COMP_LINE:0:COMP_POINT}
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[\${#words[@]} - 1]}
  kept=\${current%"\${current##*[=:]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r candidate _; do
    if [[ -z $kind ]]; then kind=$candidate; else COMPREPLY+=("\${candidate#"$kept"}"); fi
  done < <(tailrace complete -- "\${words[@]:1}" 2>/dev/null)
  case $kind in
    files | directories)
      compopt -o filenames 2>/dev/null
      local action=file
      [[ $kind == directories ]] && action=directory
      while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -A "$action" -- "\${current##*[=:]}")
      ;;
  esac
}
complete -F _tailrace tailrace
`;

/** As a file of $fpath, or with eval. https://zsh.sourceforge.io/Doc/Release/Completion-System.html */
const ZSH = `#compdef tailrace
_tailrace() {
  local kind
  local -a lines
  lines=("\${(@f)$(tailrace complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  kind=$lines[1]
  shift lines
  case $kind in
    files) _files ;;
    directories) _files -/ ;;
    *)
      lines=("\${(@)lines//:/\\\\:}")
      lines=("\${(@)lines/$'\\t'/:}")
      (( $#lines )) && _describe -t values tailrace lines
      ;;
  esac
}
if [[ $funcstack[1] == _tailrace ]]; then _tailrace "$@"; else compdef _tailrace tailrace; fi
`;

/** https://fishshell.com/docs/current/completions.html */
const FISH = `# fish completion for tailrace
function __tailrace_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l answer (tailrace complete -- $before[2..-1] "$current" 2>/dev/null)
    switch "$answer[1]"
        case files
            __fish_complete_path "$current"
        case directories
            __fish_complete_directories "$current"
        case '*'
            printf '%s\\n' $answer[2..-1]
    end
end
complete -c tailrace -f -a '(__tailrace_complete)'
`;

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
