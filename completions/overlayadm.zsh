#compdef overlayadm
# Completion of overlayadm for zsh: commands, options, and names of overlays, links, properties, plugins and namespaces.
# Written by tools/completions.mjs from the commands; installed as share/zsh/site-functions/_overlayadm.

_overlayadm_overlays() { compadd -- ${(f)"$(overlayadm show-overlay -p -o link 2>/dev/null | sort -u)"} }
_overlayadm_saved_overlays() { compadd -- ${(f)"$(overlayadm show-overlay -f -p -o link 2>/dev/null)"} }
_overlayadm_vnics() { compadd -- ${(f)"$(overlayadm show-vnic -p -o link 2>/dev/null)"} }
_overlayadm_links() { compadd -- ${(f)"$(overlayadm show-link -p -o link 2>/dev/null)"} }
_overlayadm_plugins() { compadd -- ${(f)"$(overlayadm show-plugins -p -o name 2>/dev/null)"} }
_overlayadm_encaps() { compadd -- ${(f)"$(overlayadm show-plugins -p -o kind,name 2>/dev/null | sed -n 's/^encap://p')"} }
_overlayadm_lookups() { compadd -- ${(f)"$(overlayadm show-plugins -p -o kind,name 2>/dev/null | sed -n 's/^lookup://p')"} }
_overlayadm_property_names() { compadd -- ${(f)"$(overlayadm show-linkprop -c -o property 2>/dev/null | sort -u)"} }
_overlayadm_packages() { compadd -- ${(f)"$(overlayadm plugins 2>/dev/null | sed -n '2,$s/ .*//p')"} }
_overlayadm_namespaces() { compadd -- ${(f)"$(ls /run/netns 2>/dev/null)"} }
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
    compadd -S "$1" -- "${@:2}"
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
      --encap=*) encap=${words[i]#*=} ;;
      --search=*) search=${words[i]#*=} ;;
    esac
  done
  overlayadm show-plugins -p -o kind,name,properties 2>/dev/null | while IFS=: read -r kind name properties; do
    [[ $kind:$name == "encap:$encap" || $kind:$name == "lookup:$search" || -z $encap$search ]] && found+=(${(M)${(s:,:)properties}:#*/*})
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
_overlayadm_link_properties() { _overlayadm_list '=' ${(f)"$(_overlayadm_settable)"} }
_overlayadm_link_property_names() { _overlayadm_list '' ${(f)"$(_overlayadm_settable)"} }
# Is option -$1 or --$2 typed? Not in what follows an o: those are fields.
_overlayadm_typed() {
  local word
  for word in $words; do
    [[ $word =~ "^(--$2|-[^-o]*$1.*)\$" ]] && return 0
  done
  return 1
}
_overlayadm_fields_show_overlay() { if _overlayadm_typed f fma; then _overlayadm_list '' link status details; elif _overlayadm_typed t target; then _overlayadm_list '' link target destination; else _overlayadm_list '' link property perm req value default possible; fi }
_overlayadm_fields_show_vnic() { _overlayadm_list '' link over macaddress mtu vid netns persistent state }
_overlayadm_fields_show_link() { if _overlayadm_typed s statistics; then _overlayadm_list '' link ipackets rbytes opackets obytes misses queued drops; else _overlayadm_list '' link class mtu state over netns; fi }
_overlayadm_fields_show_linkprop() { _overlayadm_list '' link property perm value default possible }
_overlayadm_fields_show_plugins() { _overlayadm_list '' kind name package version api uid pid problem properties }
_overlayadm_property_names() { _overlayadm_list '' ${(f)"$(overlayadm show-linkprop -c -o property 2>/dev/null | sort -u)"} }

_overlayadm() {
  local command
  local -a commands topics
  commands=(
    'create-overlay:Create an overlay'
    'create-vnic:Create a VNIC over an overlay'
    'delete-overlay:Delete overlays'
    'delete-vnic:Delete VNICs'
    'modify-overlay:Change the target cache of an overlay'
    'plugins:List plugin packages that were installed or linked'
    'reset-linkprop:Give properties of an overlay or a VNIC their defaults back'
    'set-linkprop:Change properties of an overlay or a VNIC'
    'show-link:Show overlays and VNICs as links, or their counters'
    'show-linkprop:Show link properties of overlays and VNICs'
    'show-overlay:Show properties, targets or health of overlays'
    'show-plugins:Show the encapsulation and lookup plugins'
    'show-vnic:Show VNICs'
    'up-overlay:Bring up overlays that are saved'
    'help:Display help'
  )
  topics=(
    'inspect:Show what an installed plugin package says of itself'
    'install:Install plugin packages'
    'link:Use the plugin package in a folder'
    'uninstall:Remove plugin packages that were installed or linked'
    'update:Install newer versions of installed plugin packages'
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
    'create-overlay')
      _arguments -s \
        '*'{-e+,--encap=}'[Encapsulation plugin\: how a frame is put on the wire (required)]:encap:_overlayadm_encaps' \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-p+,--prop=}'[Set properties; several with commas]:prop:_overlayadm_overlay_properties' \
        '*'{-s+,--search=}'[Lookup plugin\: where a frame is sent (required)]:search:_overlayadm_lookups' \
        '*'{-t,--temporary}'[Not kept over a reboot]' \
        '*'{-v+,--vnetid=}'[Number of the virtual network (required)]:vnetid:_overlayadm_nothing' \
        '--help[Show help]' \
        '*:name:_overlayadm_nothing'
      ;;
    'create-vnic')
      _arguments -s \
        '--json[Print JSON]' \
        '*'{-l+,--link=}'[Overlay that the VNIC is over (required)]:link:_overlayadm_overlays' \
        '*'{-m+,--mac-address=}'[MAC address]:mac-address:_overlayadm_nothing' \
        '--no-color[Print without colours]' \
        '*'{-p+,--prop=}'[Set properties\: mtu, netns]:prop:_overlayadm_vnic_properties' \
        '*'{-t,--temporary}'[Not kept over a reboot]' \
        '*'{-v+,--vlan-id=}'[VLAN on the overlay, 1-4094]:vlan-id:_overlayadm_nothing' \
        '--help[Show help]' \
        '*:name:_overlayadm_nothing'
      ;;
    'delete-overlay')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-t,--temporary}'[Keep what is saved]' \
        '--help[Show help]' \
        '*:saved_overlays:_overlayadm_saved_overlays'
      ;;
    'delete-vnic')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-t,--temporary}'[Keep what is saved]' \
        '--help[Show help]' \
        '*:vnics:_overlayadm_vnics'
      ;;
    'modify-overlay')
      _arguments -s \
        '*'{-d+,--delete-entry=}'[Forget one target]:delete-entry:_overlayadm_nothing' \
        '*'{-f,--flush-table}'[Forget all targets]' \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-s+,--set-entry=}'[Send what is for MAC to DEST\: ip\:port, \[ipv6\]\:port, or drop]:set-entry:_overlayadm_nothing' \
        '--help[Show help]' \
        '*:overlays:_overlayadm_overlays'
      ;;
    'plugins')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '--help[Show help]' \
        '*:name:_overlayadm_nothing'
      ;;
    'plugins inspect')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '--help[Show help]' \
        '*:packages:_overlayadm_packages'
      ;;
    'plugins install')
      _arguments -s \
        '*'{-f,--force}'[Fetch also what npm has in its cache]' \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-v,--verbose}'[Show what npm says]' \
        '--help[Show help]' \
        '*:files:_overlayadm_files'
      ;;
    'plugins link')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-v,--verbose}'[Show what npm says]' \
        '--help[Show help]' \
        '*:folders:_overlayadm_folders'
      ;;
    'plugins uninstall')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-v,--verbose}'[Show what npm says]' \
        '--help[Show help]' \
        '*:packages:_overlayadm_packages'
      ;;
    'plugins update')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-v,--verbose}'[Show what npm says]' \
        '--help[Show help]' \
        '*:name:_overlayadm_nothing'
      ;;
    'reset-linkprop')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-p+,--prop=}'[Names of properties; several with commas]:prop:_overlayadm_link_property_names' \
        '*'{-t,--temporary}'[Not kept over a reboot]' \
        '--help[Show help]' \
        '*:links:_overlayadm_links'
      ;;
    'set-linkprop')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-p+,--prop=}'[Properties and their values; several with commas (required)]:prop:_overlayadm_link_properties' \
        '*'{-t,--temporary}'[Not kept over a reboot]' \
        '--help[Show help]' \
        '*:links:_overlayadm_links'
      ;;
    'show-link')
      _arguments -s \
        '*'{-i+,--interval=}'[With -s\: show them again and again, so many seconds apart]:interval:_overlayadm_nothing' \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-o+,--output=}'[Show these fields only, in this order; all for every one]:output:_overlayadm_fields_show_link' \
        '*'{-p,--parsable}'[Print for programs\: values between colons, no header. Needs -o]' \
        '*'{-s,--statistics}'[Show counters]' \
        '--help[Show help]' \
        '*:links:_overlayadm_links'
      ;;
    'show-linkprop')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-o+,--output=}'[Show these fields only, in this order; all for every one]:output:_overlayadm_fields_show_linkprop' \
        '*'{-c,--parsable}'[Print for programs\: values between colons, no header. Needs -o]' \
        '*'{-P,--persistent}'[Show as VALUE what a reboot brings back]' \
        '*'{-p+,--prop=}'[Show these properties only]:prop:_overlayadm_property_names' \
        '--help[Show help]' \
        '*:links:_overlayadm_links'
      ;;
    'show-overlay')
      _arguments -s \
        '--check[With -f\: exit status 3 when an overlay is degraded]' \
        '*'{-f,--fma}'[Show health\: online, degraded and why, or down]' \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-o+,--output=}'[Show these fields only, in this order; all for every one]:output:_overlayadm_fields_show_overlay' \
        '*'{-p,--parsable}'[Print for programs\: values between colons, no header. Needs -o]' \
        '*'{-t,--target}'[Show the target cache\: which MAC address is sent where]' \
        '--help[Show help]' \
        '*:saved_overlays:_overlayadm_saved_overlays'
      ;;
    'show-plugins')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '*'{-o+,--output=}'[Show these fields only, in this order; all for every one]:output:_overlayadm_fields_show_plugins' \
        '*'{-p,--parsable}'[Print for programs\: values between colons, no header. Needs -o]' \
        '--help[Show help]' \
        '*:plugins:_overlayadm_plugins'
      ;;
    'show-vnic')
      _arguments -s \
        '--json[Print JSON]' \
        '*'{-l+,--link=}'[Only those over this overlay]:link:_overlayadm_overlays' \
        '--no-color[Print without colours]' \
        '*'{-o+,--output=}'[Show these fields only, in this order; all for every one]:output:_overlayadm_fields_show_vnic' \
        '*'{-p,--parsable}'[Print for programs\: values between colons, no header. Needs -o]' \
        '--help[Show help]' \
        '*:vnics:_overlayadm_vnics'
      ;;
    'up-overlay')
      _arguments -s \
        '--json[Print JSON]' \
        '--no-color[Print without colours]' \
        '--help[Show help]' \
        '*:saved_overlays:_overlayadm_saved_overlays'
      ;;
  esac
}
_overlayadm "$@"
