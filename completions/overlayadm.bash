# Completion of overlayadm for bash: commands, options, and names of overlays, links, properties, plugins and namespaces.
# Written by tools/completions.mjs from the commands; installed as share/bash-completion/completions/overlayadm, or read by "source".

_overlayadm_overlays() { overlayadm show-overlay -p -o link 2>/dev/null | sort -u; }
_overlayadm_saved_overlays() { overlayadm show-overlay -f -p -o link 2>/dev/null; }
_overlayadm_vnics() { overlayadm show-vnic -p -o link 2>/dev/null; }
_overlayadm_links() { overlayadm show-link -p -o link 2>/dev/null; }
_overlayadm_plugins() { overlayadm show-plugins -p -o name 2>/dev/null; }
_overlayadm_encaps() { overlayadm show-plugins -p -o kind,name 2>/dev/null | sed -n 's/^encap://p'; }
_overlayadm_lookups() { overlayadm show-plugins -p -o kind,name 2>/dev/null | sed -n 's/^lookup://p'; }
_overlayadm_property_names() { overlayadm show-linkprop -c -o property 2>/dev/null | sort -u; }
_overlayadm_packages() { overlayadm plugins 2>/dev/null | sed -n '2,$s/ .*//p'; }
_overlayadm_namespaces() { ls /run/netns 2>/dev/null; }
_overlayadm_nothing() { :; }
# Properties of the plugins that -e and -s name, in the words of the command line, and those that every overlay has.
_overlayadm_overlay_properties() {
  local encap='' search='' i
  for ((i = 0; i < ${#typed[@]} - 1; i++)); do
    case ${typed[i]} in
      -e | --encap) encap=${typed[i + 1]} ;;
      -s | --search) search=${typed[i + 1]} ;;
      --encap=*) encap=${typed[i]#*=} ;;
      --search=*) search=${typed[i]#*=} ;;
    esac
  done
  printf '%s\n' mtu= datapath=
  overlayadm show-plugins -p -o kind,name,properties 2>/dev/null | while IFS=: read -r kind name properties; do
    [[ $kind:$name == "encap:$encap" || $kind:$name == "lookup:$search" || -z $encap$search ]] || continue
    # A plugin that cannot be loaded has a ? there.
    printf '%s\n' "$properties" | tr , '\n' | sed -n 's|/.*|&=|p'
  done
}
_overlayadm_vnic_properties() { printf '%s\n' mtu= netns=; }
_overlayadm_link_properties() { _overlayadm_property_names | sed 's/$/=/'; }

# Candidates for the word $1 of kind $2, whole words.
_overlayadm_candidates() {
  local word=$1 kind=$2 before item
  case $kind in
    files) compgen -f -- "$word" ;;
    folders) compgen -d -- "$word" ;;
    *_properties | property_names)
      # Of a list, the part after the last comma.
      before=''
      [[ $word == *,* ]] && before=${word%,*},
      if [[ ${word#"$before"} == netns=* ]]; then
        for item in $(_overlayadm_namespaces); do printf '%s\n' "${before}netns=$item"; done
      else
        for item in $("_overlayadm_$kind"); do printf '%s\n' "$before$item"; done
      fi
      ;;
    *) "_overlayadm_$kind" ;;
  esac
}

_overlayadm() {
  local line=${COMP_LINE:0:COMP_POINT} word prev command options kind item cut=''
  local -a typed
  # Not COMP_WORDS: bash cuts those at = and :, which are in our words.
  read -ra typed <<<"$line"
  [[ $line == *[[:space:]] ]] && typed+=('')
  word=${typed[${#typed[@]} - 1]}
  prev=${typed[${#typed[@]} - 2]}
  COMPREPLY=()
  if ((${#typed[@]} == 2)); then
    mapfile -t COMPREPLY < <(compgen -W 'create-overlay create-vnic delete-overlay delete-vnic modify-overlay plugins reset-linkprop set-linkprop show-link show-linkprop show-overlay show-plugins show-vnic up-overlay help --help --version' -- "$word")
    return
  fi
  command=${typed[1]}
  if [[ $command == help ]] && ((${#typed[@]} == 3)); then
    mapfile -t COMPREPLY < <(compgen -W 'create-overlay create-vnic delete-overlay delete-vnic modify-overlay plugins reset-linkprop set-linkprop show-link show-linkprop show-overlay show-plugins show-vnic up-overlay help' -- "$word")
    return
  fi
  if [[ $command == plugins ]]; then
    if ((${#typed[@]} == 3)) && [[ $word != -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W 'inspect install link uninstall update' -- "$word")
      return
    fi
    ((${#typed[@]} > 3)) && command="plugins ${typed[2]}"
  fi
  case $command in
  'create-overlay')
    options='-e --encap --json --no-color -p --prop -s --search -t --temporary -v --vnetid'
    kind=nothing
    case $prev in
      -e | --encap) kind=encaps ;;
      -p | --prop) kind=overlay_properties ;;
      -s | --search) kind=lookups ;;
      -v | --vnetid) kind=nothing ;;
    esac
    ;;
  'create-vnic')
    options='--json -l --link -m --mac-address --no-color -p --prop -t --temporary -v --vlan-id'
    kind=nothing
    case $prev in
      -l | --link) kind=overlays ;;
      -m | --mac-address) kind=nothing ;;
      -p | --prop) kind=vnic_properties ;;
      -v | --vlan-id) kind=nothing ;;
    esac
    ;;
  'delete-overlay')
    options='--json --no-color -t --temporary'
    kind=saved_overlays
    ;;
  'delete-vnic')
    options='--json --no-color -t --temporary'
    kind=vnics
    ;;
  'modify-overlay')
    options='-d --delete-entry -f --flush-table --json --no-color -s --set-entry'
    kind=overlays
    case $prev in
      -d | --delete-entry) kind=nothing ;;
      -s | --set-entry) kind=nothing ;;
    esac
    ;;
  'plugins')
    options='--json --no-color'
    kind=nothing
    ;;
  'plugins inspect')
    options='--json --no-color'
    kind=packages
    ;;
  'plugins install')
    options='-f --force --json --no-color -v --verbose'
    kind=files
    ;;
  'plugins link')
    options='--json --no-color -v --verbose'
    kind=folders
    ;;
  'plugins uninstall')
    options='--json --no-color -v --verbose'
    kind=packages
    ;;
  'plugins update')
    options='--json --no-color -v --verbose'
    kind=nothing
    ;;
  'reset-linkprop')
    options='--json --no-color -p --prop -t --temporary'
    kind=links
    case $prev in
      -p | --prop) kind=property_names ;;
    esac
    ;;
  'set-linkprop')
    options='--json --no-color -p --prop -t --temporary'
    kind=links
    case $prev in
      -p | --prop) kind=link_properties ;;
    esac
    ;;
  'show-link')
    options='-i --interval --json --no-color -o --output -p --parsable -s --statistics'
    kind=links
    case $prev in
      -i | --interval) kind=nothing ;;
      -o | --output) kind=nothing ;;
    esac
    ;;
  'show-linkprop')
    options='--json --no-color -o --output -c --parsable -P --persistent -p --prop'
    kind=links
    case $prev in
      -o | --output) kind=nothing ;;
      -p | --prop) kind=property_names ;;
    esac
    ;;
  'show-overlay')
    options='--check -f --fma --json --no-color -o --output -p --parsable -t --target'
    kind=saved_overlays
    case $prev in
      -o | --output) kind=nothing ;;
    esac
    ;;
  'show-plugins')
    options='--json --no-color -o --output -p --parsable'
    kind=plugins
    case $prev in
      -o | --output) kind=nothing ;;
    esac
    ;;
  'show-vnic')
    options='--json -l --link --no-color -o --output -p --parsable'
    kind=vnics
    case $prev in
      -l | --link) kind=overlays ;;
      -o | --output) kind=nothing ;;
    esac
    ;;
  'up-overlay')
    options='--json --no-color'
    kind=saved_overlays
    ;;
  *) return ;;
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
    return
  fi
  # readline replaces only what stands after the last of its word breaks.
  [[ $COMP_WORDBREAKS == *=* && $word == *=* ]] && cut=${word%"${word##*=}"}
  [[ $COMP_WORDBREAKS == *:* && ${word#"$cut"} == *:* ]] && cut=${word%"${word##*:}"}
  while IFS= read -r item; do
    [[ $item == "$word"* ]] && COMPREPLY+=("${item#"$cut"}")
  done < <(_overlayadm_candidates "$word" "$kind")
  [[ $kind == files || $kind == folders ]] && compopt -o filenames 2>/dev/null
  # A property is followed by its value.
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _overlayadm overlayadm
