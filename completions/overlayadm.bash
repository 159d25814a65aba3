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
# The operand of a command whose only option with a value is -p, before the cursor or after it.
_overlayadm_operand() {
  local rest=${COMP_LINE:COMP_POINT} i
  local -a after words
  # What stands at the cursor belongs to the word that is completed.
  [[ $rest == [![:space:]]* ]] && rest=${rest#"${rest%%[[:space:]]*}"}
  read -ra after <<<"$rest"
  words=("${typed[@]}" "${after[@]}")
  for ((i = 2; i < ${#words[@]}; i++)); do
    case ${words[i]} in
      -p | -[!-]p | --prop) ((i++)) ;;
      -* | '') ;;
      *)
        printf '%s' "${words[i]}"
        return
        ;;
    esac
  done
}
# Properties that can be changed on the link that is typed, or else on any.
_overlayadm_link_property_names() {
  local link
  link=$(_overlayadm_operand)
  overlayadm show-linkprop -c -o property,perm ${link:+"$link"} 2>/dev/null | sed -n 's/:rw$//p' | sort -u
}
_overlayadm_link_properties() { _overlayadm_link_property_names | sed 's/$/=/'; }
# Is option -$1 or --$2 typed? Not in what follows an o: those are fields.
_overlayadm_typed() {
  local word
  for word in "${typed[@]}"; do
    [[ $word =~ ^(--$2|-[^-o]*$1.*)$ ]] && return 0
  done
  return 1
}
_overlayadm_fields_show_overlay() { if _overlayadm_typed f fma; then printf '%s\n' link status details; elif _overlayadm_typed t target; then printf '%s\n' link target destination; else printf '%s\n' link property perm req value default possible; fi; }
_overlayadm_fields_show_vnic() { printf '%s\n' link over macaddress mtu vid netns persistent state; }
_overlayadm_fields_show_link() { if _overlayadm_typed s statistics; then printf '%s\n' link ipackets rbytes opackets obytes misses queued drops; else printf '%s\n' link class mtu state over netns; fi; }
_overlayadm_fields_show_linkprop() { printf '%s\n' link property perm value default possible; }
_overlayadm_fields_show_plugins() { printf '%s\n' kind name package version api uid pid problem properties; }

# Candidates for the word $1 of kind $2, whole words.
_overlayadm_candidates() {
  local word=$1 kind=$2 before item
  case $kind in
    files) compgen -f -- "$word" ;;
    folders) compgen -d -- "$word" ;;
    *_properties | *property_names | fields_*)
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
  local line=${COMP_LINE:0:COMP_POINT} word prev command options kind=nothing item cut='' lead='' full
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
  # --option=value is one word, and the value of it is completed.
  if [[ $word == --*=* ]]; then
    prev=${word%%=*}
    lead=$prev=
    word=${word#*=}
  fi
  full=$lead$word
  case $command in
  'create-overlay')
    options='-e --encap --json --no-color -p --prop -s --search -t --temporary -v --vnetid'
    case $prev in
      -e | -[!-]e | --encap) kind=encaps ;;
      -p | -[!-]p | --prop) kind=overlay_properties ;;
      -s | -[!-]s | --search) kind=lookups ;;
      -v | -[!-]v | --vnetid) kind=nothing ;;
    esac
    ;;
  'create-vnic')
    options='--json -l --link -m --mac-address --no-color -p --prop -t --temporary -v --vlan-id'
    case $prev in
      -l | -[!-]l | --link) kind=overlays ;;
      -m | -[!-]m | --mac-address) kind=nothing ;;
      -p | -[!-]p | --prop) kind=vnic_properties ;;
      -v | -[!-]v | --vlan-id) kind=nothing ;;
    esac
    ;;
  'delete-overlay')
    options='--json --no-color -t --temporary'
    [[ $lead ]] || kind=saved_overlays
    ;;
  'delete-vnic')
    options='--json --no-color -t --temporary'
    [[ $lead ]] || kind=vnics
    ;;
  'modify-overlay')
    options='-d --delete-entry -f --flush-table --json --no-color -s --set-entry'
    [[ $lead ]] || kind=overlays
    case $prev in
      -d | -[!-]d | --delete-entry) kind=nothing ;;
      -s | -[!-]s | --set-entry) kind=nothing ;;
    esac
    ;;
  'plugins')
    options='--json --no-color'
    ;;
  'plugins inspect')
    options='--json --no-color'
    [[ $lead ]] || kind=packages
    ;;
  'plugins install')
    options='-f --force --json --no-color -v --verbose'
    [[ $lead ]] || kind=files
    ;;
  'plugins link')
    options='--json --no-color -v --verbose'
    [[ $lead ]] || kind=folders
    ;;
  'plugins uninstall')
    options='--json --no-color -v --verbose'
    [[ $lead ]] || kind=packages
    ;;
  'plugins update')
    options='--json --no-color -v --verbose'
    ;;
  'reset-linkprop')
    options='--json --no-color -p --prop -t --temporary'
    [[ $lead ]] || kind=links
    case $prev in
      -p | -[!-]p | --prop) kind=link_property_names ;;
    esac
    ;;
  'set-linkprop')
    options='--json --no-color -p --prop -t --temporary'
    [[ $lead ]] || kind=links
    case $prev in
      -p | -[!-]p | --prop) kind=link_properties ;;
    esac
    ;;
  'show-link')
    options='-i --interval --json --no-color -o --output -p --parsable -s --statistics'
    [[ $lead ]] || kind=links
    case $prev in
      -i | -[!-]i | --interval) kind=nothing ;;
      -o | -[!-]*o | --output) kind=fields_show_link ;;
    esac
    ;;
  'show-linkprop')
    options='--json --no-color -o --output -c --parsable -P --persistent -p --prop'
    [[ $lead ]] || kind=links
    case $prev in
      -o | -[!-]*o | --output) kind=fields_show_linkprop ;;
      -p | -[!-]p | --prop) kind=property_names ;;
    esac
    ;;
  'show-overlay')
    options='--check -f --fma --json --no-color -o --output -p --parsable -t --target'
    [[ $lead ]] || kind=saved_overlays
    case $prev in
      -o | -[!-]*o | --output) kind=fields_show_overlay ;;
    esac
    ;;
  'show-plugins')
    options='--json --no-color -o --output -p --parsable'
    [[ $lead ]] || kind=plugins
    case $prev in
      -o | -[!-]*o | --output) kind=fields_show_plugins ;;
    esac
    ;;
  'show-vnic')
    options='--json -l --link --no-color -o --output -p --parsable'
    [[ $lead ]] || kind=vnics
    case $prev in
      -l | -[!-]l | --link) kind=overlays ;;
      -o | -[!-]*o | --output) kind=fields_show_vnic ;;
    esac
    ;;
  'up-overlay')
    options='--json --no-color'
    [[ $lead ]] || kind=saved_overlays
    ;;
  *) return ;;
  esac
  if [[ -z $lead && $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
    return
  fi
  # readline replaces only what stands after the last of its word breaks.
  [[ $COMP_WORDBREAKS == *=* && $full == *=* ]] && cut=${full%"${full##*=}"}
  [[ $COMP_WORDBREAKS == *:* && ${full#"$cut"} == *:* ]] && cut=${full%"${full##*:}"}
  while IFS= read -r item; do
    item=$lead$item
    [[ $item == "$full"* ]] && COMPREPLY+=("${item#"$cut"}")
  done < <(_overlayadm_candidates "$word" "$kind")
  [[ $kind == files || $kind == folders ]] && compopt -o filenames 2>/dev/null
  # A property is followed by its value.
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _overlayadm overlayadm
