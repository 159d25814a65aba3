// Writes completions/overlayadm.{bash,zsh,fish} from the built commands; `--check` fails when they are not what it would write.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Plugin } from '@oclif/core';
import { root } from './lib.mjs';

/**
 * What an operand or the value of an option is: a question that the shell function `_overlayadm_KIND` answers. A command, or an
 * option, that is not here has nothing that could be known beforehand.
 */
const OPERANDS = {
  'delete-overlay': 'saved_overlays',
  'delete-vnic': 'vnics',
  'modify-overlay': 'overlays',
  'reset-linkprop': 'links',
  'set-linkprop': 'links',
  'show-link': 'links',
  'show-linkprop': 'links',
  'show-overlay': 'saved_overlays',
  'show-plugins': 'plugins',
  'show-vnic': 'vnics',
  'up-overlay': 'saved_overlays',
  'plugins inspect': 'packages',
  'plugins install': 'files',
  'plugins link': 'folders',
  'plugins uninstall': 'packages',
};
const VALUES = {
  'create-overlay': { encap: 'encaps', search: 'lookups', prop: 'overlay_properties' },
  'create-vnic': { link: 'overlays', prop: 'vnic_properties' },
  'reset-linkprop': { prop: 'link_property_names' },
  'set-linkprop': { prop: 'link_properties' },
  'show-linkprop': { prop: 'property_names' },
  'show-vnic': { link: 'overlays' },
};

/** Of a show command, the function that knows its fields, and what it chooses from: by flag of the command, the default last. */
const fieldsKind = (id) => `fields_${id.replaceAll('-', '_')}`;
async function fieldTables() {
  const [{ THIN_COMMANDS }, { fieldNames }] = await Promise.all(
    ['thin', 'show/specification'].map((name) => import(`${root}/dist/core/cli/${name}.js`)),
  );
  return THIN_COMMANDS.map(({ id, tables, flags }) => ({
    kind: fieldsKind(id),
    tables: tables
      .map((table) => ({ flag: table.flag, char: flags[table.flag]?.char, names: fieldNames(table).join(' ') }))
      .sort((a, b) => Number(a.flag === undefined) - Number(b.flag === undefined)),
  }));
}

/** `if` this flag is typed then these names, in a shell whose words for that are given. */
const chosen = (tables, { test, say, otherwise, end }) =>
  tables.length === 1
    ? say(tables[0].names)
    : [...tables.map(({ flag, char, names }, at) => `${flag === undefined ? otherwise : test(char, flag, at)}${say(names)}`), end].join('; ');

/** @returns {Promise<{command: string, summary: string, operand: string, flags: {name: string, char?: string, takesValue: boolean, kind: string, summary: string}[]}[]>} */
export async function surface() {
  const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true, respectNoCacheDefault: true });
  await plugin.load();
  const commands = Object.values(plugin.manifest.commands).map(({ id, summary, flags }) => {
    const command = id.replaceAll(':', ' ');
    const described = Object.values(flags).map(({ name, char, type, summary: text }) => {
      const takesValue = type === 'option';
      return { name, char, takesValue, kind: takesValue ? kindOf(command, name) : '', summary: plain(text) };
    });
    return { command, summary: plain(summary), operand: OPERANDS[command] ?? 'nothing', flags: described.sort((a, b) => (a.name < b.name ? -1 : 1)) };
  });
  return commands.sort((a, b) => (a.command < b.command ? -1 : 1));
}

const kindOf = (command, flag) => (command.startsWith('show-') && flag === 'output' ? fieldsKind(command) : (VALUES[command]?.[flag] ?? 'nothing'));

/** One sentence without its end, as shells show it. */
const plain = (text = '') => text.replace(/\.$/, '');

const HEAD = (
  shell,
  how,
) => `# Completion of overlayadm for ${shell}: commands, options, and names of overlays, links, properties, plugins and namespaces.
# Written by tools/completions.mjs from the commands; ${how}
`;

const words = ({ flags }) => flags.flatMap(({ name, char }) => [...(char ? [`-${char}`] : []), `--${name}`]).join(' ');

function bashCase(command) {
  const values = command.flags
    .filter(({ takesValue }) => takesValue)
    // Also at the end of a bundle: -tp, -fpo.
    .map(({ name, char, kind }) => `      ${char ? `-${char} | -[!-]${name === 'output' ? '*' : ''}${char} | ` : ''}--${name}) kind=${kind} ;;`);
  const operand = command.operand === 'nothing' ? [] : [`    [[ $lead ]] || kind=${command.operand}`];
  const lookup = values.length === 0 ? [] : ['    case $prev in', ...values, '    esac'];
  return [`  '${command.command}')`, `    options='${words(command)}'`, ...operand, ...lookup, '    ;;'].join('\n');
}

const firstWords = (commands) => [...new Set([...commands.map(({ command }) => command.split(' ')[0]), 'help'])].join(' ');
const secondWords = (commands) => commands.flatMap(({ command }) => command.split(' ')[1] ?? []).join(' ');

/** What all three shells ask, in words that sh, zsh and fish share. */
const ASK = {
  overlays: 'overlayadm show-overlay -p -o link 2>/dev/null | sort -u',
  saved_overlays: 'overlayadm show-overlay -f -p -o link 2>/dev/null',
  vnics: 'overlayadm show-vnic -p -o link 2>/dev/null',
  links: 'overlayadm show-link -p -o link 2>/dev/null',
  plugins: 'overlayadm show-plugins -p -o name 2>/dev/null',
  encaps: "overlayadm show-plugins -p -o kind,name 2>/dev/null | sed -n 's/^encap://p'",
  lookups: "overlayadm show-plugins -p -o kind,name 2>/dev/null | sed -n 's/^lookup://p'",
  property_names: 'overlayadm show-linkprop -c -o property 2>/dev/null | sort -u',
  packages: "overlayadm plugins 2>/dev/null | sed -n '2,$s/ .*//p'",
  namespaces: 'ls /run/netns 2>/dev/null',
};

const bashAsk = Object.entries(ASK).map(([kind, command]) => `_overlayadm_${kind}() { ${command}; }`);

const bashFields = ({ kind, tables }) =>
  `_overlayadm_${kind}() { ${chosen(tables, {
    test: (char, flag, at) => `${at === 0 ? 'if' : 'elif'} _overlayadm_typed ${char} ${flag}; then `,
    say: (names) => `printf '%s\\n' ${names}`,
    otherwise: 'else ',
    end: 'fi',
  })}; }`;

function bash(commands, fields) {
  return `${HEAD('bash', 'installed as share/bash-completion/completions/overlayadm, or read by "source".')}
${bashAsk.join('\n')}
_overlayadm_nothing() { :; }
# Properties of the plugins that -e and -s name, in the words of the command line, and those that every overlay has.
_overlayadm_overlay_properties() {
  local encap='' search='' i
  for ((i = 0; i < \${#typed[@]} - 1; i++)); do
    case \${typed[i]} in
      -e | --encap) encap=\${typed[i + 1]} ;;
      -s | --search) search=\${typed[i + 1]} ;;
      --encap=*) encap=\${typed[i]#*=} ;;
      --search=*) search=\${typed[i]#*=} ;;
    esac
  done
  printf '%s\\n' mtu= datapath=
  overlayadm show-plugins -p -o kind,name,properties 2>/dev/null | while IFS=: read -r kind name properties; do
    [[ $kind:$name == "encap:$encap" || $kind:$name == "lookup:$search" || -z $encap$search ]] || continue
    # A plugin that cannot be loaded has a ? there.
    printf '%s\\n' "$properties" | tr , '\\n' | sed -n 's|/.*|&=|p'
  done
}
_overlayadm_vnic_properties() { printf '%s\\n' mtu= netns=; }
# The operand of a command whose only option with a value is -p, before the cursor or after it.
_overlayadm_operand() {
  local rest=\${COMP_LINE:COMP_POINT} i
  local -a after words
  # What stands at the cursor belongs to the word that is completed.
  [[ $rest == [![:space:]]* ]] && rest=\${rest#"\${rest%%[[:space:]]*}"}
  read -ra after <<<"$rest"
  words=("\${typed[@]}" "\${after[@]}")
  for ((i = 2; i < \${#words[@]}; i++)); do
    case \${words[i]} in
      -p | -[!-]p | --prop) ((i++)) ;;
      -* | '') ;;
      *)
        printf '%s' "\${words[i]}"
        return
        ;;
    esac
  done
}
# Properties that can be changed on the link that is typed, or else on any.
_overlayadm_link_property_names() {
  local link
  link=$(_overlayadm_operand)
  overlayadm show-linkprop -c -o property,perm \${link:+"$link"} 2>/dev/null | sed -n 's/:rw$//p' | sort -u
}
_overlayadm_link_properties() { _overlayadm_link_property_names | sed 's/$/=/'; }
# Is option -$1 or --$2 typed? Not in what follows an o: those are fields.
_overlayadm_typed() {
  local word
  for word in "\${typed[@]}"; do
    [[ $word =~ ^(--$2|-[^-o]*$1.*)$ ]] && return 0
  done
  return 1
}
${fields.map(bashFields).join('\n')}

# Candidates for the word $1 of kind $2, whole words.
_overlayadm_candidates() {
  local word=$1 kind=$2 before item
  case $kind in
    files) compgen -f -- "$word" ;;
    folders) compgen -d -- "$word" ;;
    *_properties | *property_names | fields_*)
      # Of a list, the part after the last comma.
      before=''
      [[ $word == *,* ]] && before=\${word%,*},
      if [[ \${word#"$before"} == netns=* ]]; then
        for item in $(_overlayadm_namespaces); do printf '%s\\n' "\${before}netns=$item"; done
      else
        for item in $("_overlayadm_$kind"); do printf '%s\\n' "$before$item"; done
      fi
      ;;
    *) "_overlayadm_$kind" ;;
  esac
}

_overlayadm() {
  local line=\${COMP_LINE:0:COMP_POINT} word prev command options kind=nothing item cut='' lead='' full
  local -a typed
  # Not COMP_WORDS: bash cuts those at = and :, which are in our words.
  read -ra typed <<<"$line"
  [[ $line == *[[:space:]] ]] && typed+=('')
  word=\${typed[\${#typed[@]} - 1]}
  prev=\${typed[\${#typed[@]} - 2]}
  COMPREPLY=()
  if ((\${#typed[@]} == 2)); then
    mapfile -t COMPREPLY < <(compgen -W '${firstWords(commands)} --help --version' -- "$word")
    return
  fi
  command=\${typed[1]}
  if [[ $command == help ]] && ((\${#typed[@]} == 3)); then
    mapfile -t COMPREPLY < <(compgen -W '${firstWords(commands)}' -- "$word")
    return
  fi
  if [[ $command == plugins ]]; then
    if ((\${#typed[@]} == 3)) && [[ $word != -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W '${secondWords(commands)}' -- "$word")
      return
    fi
    ((\${#typed[@]} > 3)) && command="plugins \${typed[2]}"
  fi
  # --option=value is one word, and the value of it is completed.
  if [[ $word == --*=* ]]; then
    prev=\${word%%=*}
    lead=$prev=
    word=\${word#*=}
  fi
  full=$lead$word
  case $command in
${commands.map(bashCase).join('\n')}
  *) return ;;
  esac
  if [[ -z $lead && $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
    return
  fi
  # readline replaces only what stands after the last of its word breaks.
  [[ $COMP_WORDBREAKS == *=* && $full == *=* ]] && cut=\${full%"\${full##*=}"}
  [[ $COMP_WORDBREAKS == *:* && \${full#"$cut"} == *:* ]] && cut=\${full%"\${full##*:}"}
  while IFS= read -r item; do
    item=$lead$item
    [[ $item == "$full"* ]] && COMPREPLY+=("\${item#"$cut"}")
  done < <(_overlayadm_candidates "$word" "$kind")
  [[ $kind == files || $kind == folders ]] && compopt -o filenames 2>/dev/null
  # A property is followed by its value.
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _overlayadm overlayadm
`;
}

const quoted = (text) => text.replaceAll("'", "'\\''");
const inBrackets = (text) => quoted(text).replace(/[[\]:]/g, '\\$&');

function zshFlag({ name, char, takesValue, kind, summary }) {
  const value = takesValue ? `:${name}:_overlayadm_${kind}` : '';
  // With its value in the same word too: -evxlan, --encap=vxlan.
  const long = `--${name}${takesValue ? '=' : ''}`;
  if (!char) return `'${long}[${inBrackets(summary)}]${value}'`;
  return `'*'{-${char}${takesValue ? '+' : ''},${long}}'[${inBrackets(summary)}]${value}'`;
}

function zshCase({ command, flags, operand }) {
  const lines = [...flags.map(zshFlag), "'--help[Show help]'", `'*:${operand === 'nothing' ? 'name' : operand}:_overlayadm_${operand}'`];
  return `    '${command}')\n      _arguments -s \\\n        ${lines.join(' \\\n        ')}\n      ;;`;
}

const zshFields = ({ kind, tables }) =>
  `_overlayadm_${kind}() { ${chosen(tables, {
    test: (char, flag, at) => `${at === 0 ? 'if' : 'elif'} _overlayadm_typed ${char} ${flag}; then `,
    say: (names) => `_overlayadm_list '' ${names}`,
    otherwise: 'else ',
    end: 'fi',
  })} }`;

function zsh(commands, fields) {
  const list = (filter) =>
    commands
      .filter(({ command }) => filter(command))
      .map(({ command, summary }) => `    '${command.split(' ').at(-1)}:${quoted(summary).replaceAll(':', '\\:')}'`)
      .join('\n');
  const simple = Object.entries(ASK).map(([kind, command]) => `_overlayadm_${kind}() { compadd -- \${(f)"$(${command})"} }`);
  return `#compdef overlayadm
${HEAD('zsh', 'installed as share/zsh/site-functions/_overlayadm.')}
${simple.join('\n')}
_overlayadm_nothing() { return 1 }
_overlayadm_files() { _files }
_overlayadm_folders() { _files -/ }
# Of a list, the part after the last comma; netns has values that are known.
_overlayadm_list() {
  compset -P '*,'
  if [[ $PREFIX == netns=* ]]; then
    compset -P 'netns='
    _overlayadm_namespaces
  else
    compadd -S "$1" -- "\${@:2}"
  fi
}
_overlayadm_overlay_properties() {
  local kind name properties encap search i
  local -a found
  found=(mtu datapath)
  for ((i = 1; i < CURRENT; i++)); do
    case $words[i] in
      -e | --encap) encap=$words[i+1] ;;
      -s | --search) search=$words[i+1] ;;
      --encap=*) encap=\${words[i]#*=} ;;
      --search=*) search=\${words[i]#*=} ;;
    esac
  done
  overlayadm show-plugins -p -o kind,name,properties 2>/dev/null | while IFS=: read -r kind name properties; do
    [[ $kind:$name == "encap:$encap" || $kind:$name == "lookup:$search" || -z $encap$search ]] && found+=(\${(M)\${(s:,:)properties}:#*/*})
  done
  _overlayadm_list '=' $found
}
_overlayadm_vnic_properties() { _overlayadm_list '=' mtu netns }
# The operand of a command whose only option with a value is -p.
_overlayadm_operand() {
  local i
  for ((i = 2; i <= $#words; i++)); do
    case $words[i] in
      -p | --prop) ((i++)) ;;
      -* | '') ;;
      *) ((i == CURRENT)) || { print -r -- $words[i]; return } ;;
    esac
  done
}
# Properties that can be changed on the link that is typed, or else on any.
_overlayadm_settable() { overlayadm show-linkprop -c -o property,perm $(_overlayadm_operand) 2>/dev/null | sed -n 's/:rw$//p' | sort -u }
_overlayadm_link_properties() { _overlayadm_list '=' \${(f)"$(_overlayadm_settable)"} }
_overlayadm_link_property_names() { _overlayadm_list '' \${(f)"$(_overlayadm_settable)"} }
# Is option -$1 or --$2 typed? Not in what follows an o: those are fields.
_overlayadm_typed() {
  local word
  for word in $words; do
    [[ $word =~ "^(--$2|-[^-o]*$1.*)\\$" ]] && return 0
  done
  return 1
}
${fields.map(zshFields).join('\n')}
_overlayadm_property_names() { _overlayadm_list '' \${(f)"$(${ASK.property_names})"} }

_overlayadm() {
  local command
  local -a commands topics
  commands=(
${list((command) => !command.includes(' '))}
    'help:Display help'
  )
  topics=(
${list((command) => command.includes(' '))}
  )
  if ((CURRENT == 2)); then
    _describe -t commands command commands
    return
  fi
  command=$words[2]
  if [[ $command == plugins ]] && ((CURRENT == 3)) && [[ $PREFIX != -* ]]; then
    _describe -t commands command topics
    return
  fi
  if [[ $command == plugins ]] && ((CURRENT > 3)); then
    command="plugins $words[3]"
    shift words
    ((CURRENT--))
  fi
  shift words
  ((CURRENT--))
  case $command in
${commands.map(zshCase).join('\n')}
  esac
}
_overlayadm "$@"
`;
}

function fishLines({ command, flags, operand, summary }) {
  const [first, second] = command.split(' ');
  const seen = second === undefined ? `__overlayadm_is ${first}` : `__overlayadm_is ${first} ${second}`;
  const introduce =
    second === undefined
      ? `complete -c overlayadm -n __overlayadm_needs_command -a ${first} -d '${fishText(summary)}'`
      : `complete -c overlayadm -n '__overlayadm_is plugins; and __overlayadm_words_are 2' -a ${second} -d '${fishText(summary)}'`;
  const options = flags.map(({ name, char, takesValue, kind, summary: text }) => {
    const value = takesValue ? ` -x -a '(__overlayadm_${kind})'` : '';
    return `complete -c overlayadm -n '${seen}'${char ? ` -s ${char}` : ''} -l ${name}${value} -d '${fishText(text)}'`;
  });
  const operands = operand === 'nothing' ? [] : [`complete -c overlayadm -n '${seen}' -a '(__overlayadm_${operand})'`];
  return [introduce, ...options, ...operands].join('\n');
}

const fishText = (text) => text.replace(/[\\']/g, '\\$&');

const fishFields = ({ kind, tables }) =>
  `function __overlayadm_${kind}; ${chosen(tables, {
    test: (char, flag, at) => `${at === 0 ? 'if' : 'else if'} __overlayadm_typed ${char} ${flag}; `,
    say: (names) => `__overlayadm_list '' ${names}`,
    otherwise: 'else; ',
    end: 'end',
  })}; end`;

function fish(commands, fields) {
  const ask = Object.entries(ASK).map(([kind, command]) => `function __overlayadm_${kind}; ${command}; end`);
  return `${HEAD('fish', 'installed as share/fish/vendor_completions.d/overlayadm.fish.')}
${ask.join('\n')}
function __overlayadm_nothing; end
function __overlayadm_files; __fish_complete_path (commandline -ct); end
function __overlayadm_folders; __fish_complete_directories (commandline -ct); end
# Of a list, the part after the last comma; netns has values that are known. Arguments: what follows a name, names.
function __overlayadm_list
  set -l word (commandline -ct)
  set -l before (string match -r '^.*,' -- $word)
  if string match -q -r '(^|,)netns=[^,]*$' -- $word
    for name in (__overlayadm_namespaces); echo "$before"netns=$name; end
  else
    for name in $argv[2..-1]; echo "$before$name$argv[1]"; end
  end
end
function __overlayadm_overlay_properties
  set -l words (commandline -opc)
  set -l wanted
  for i in (seq (count $words))
    switch $words[$i]
      case -e --encap
        set -a wanted encap:$words[(math $i + 1)]
      case -s --search
        set -a wanted lookup:$words[(math $i + 1)]
      case '--encap=*'
        set -a wanted encap:(string replace -- --encap= '' $words[$i])
      case '--search=*'
        set -a wanted lookup:(string replace -- --search= '' $words[$i])
    end
  end
  set -l names mtu datapath
  for line in (overlayadm show-plugins -p -o kind,name,properties 2>/dev/null)
    set -l parts (string split : -- $line)
    if test (count $wanted) -eq 0; or contains -- $parts[1]:$parts[2] $wanted
      set -a names (string split -n , -- $parts[3] | string match '*/*')
    end
  end
  __overlayadm_list = $names
end
function __overlayadm_vnic_properties; __overlayadm_list = mtu netns; end
# The operand of a command whose only option with a value is -p.
function __overlayadm_operand
  set -l skip 0
  for word in (commandline -opc)[3..-1]
    if test $skip -eq 1
      set skip 0
      continue
    end
    switch $word
      case -p --prop
        set skip 1
      case '-*'
      case '*'
        echo $word
        return
    end
  end
end
# Properties that can be changed on the link that is typed, or else on any.
function __overlayadm_settable; overlayadm show-linkprop -c -o property,perm (__overlayadm_operand) 2>/dev/null | sed -n 's/:rw$//p' | sort -u; end
function __overlayadm_link_properties; __overlayadm_list = (__overlayadm_settable); end
function __overlayadm_link_property_names; __overlayadm_list '' (__overlayadm_settable); end
# Is option -$argv[1] or --$argv[2] typed? Not in what follows an o: those are fields.
function __overlayadm_typed; string match -q -r -- "^(--$argv[2]|-[^-o]*$argv[1].*)\\$" (commandline -opc); end
${fields.map(fishFields).join('\n')}

function __overlayadm_words; commandline -opc | string match -v -r '^-'; end
function __overlayadm_needs_command; test (count (__overlayadm_words)) -eq 1; end
function __overlayadm_words_are; test (count (__overlayadm_words)) -eq $argv[1]; end
function __overlayadm_is
  set -l words (__overlayadm_words)
  test "$words[2]" = "$argv[1]"; or return 1
  test (count $argv) -eq 1; or test "$words[3]" = "$argv[2]"
end

complete -c overlayadm -f
complete -c overlayadm -l help -d 'Show help'
complete -c overlayadm -n __overlayadm_needs_command -a help -d 'Display help'
${commands.map(fishLines).join('\n')}
`;
}

/** @returns {Promise<ReadonlyMap<string, string>>} file name to contents */
export async function completions() {
  const commands = await surface();
  // A name in the tables that is none would be an answer that nobody gets.
  for (const name of [...Object.keys(OPERANDS), ...Object.keys(VALUES)]) {
    if (!commands.some(({ command }) => command === name)) throw new Error(`tools/completions.mjs: there is no command ${name}`);
  }
  const fields = await fieldTables();
  return new Map([
    ['overlayadm.bash', bash(commands, fields)],
    ['overlayadm.zsh', zsh(commands, fields)],
    ['overlayadm.fish', fish(commands, fields)],
  ]);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = join(root, 'completions');
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of await completions()) {
    const path = join(folder, name);
    if (!process.argv.includes('--check')) writeFileSync(path, text);
    else if (!existsSync(path) || readFileSync(path, 'utf8') !== text) {
      console.error(`completions/${name}: is not what tools/completions.mjs writes; run it`);
      process.exitCode = 1;
    }
  }
}
