# Completion of overlayadm for fish: commands, options, and names of overlays, links, properties, plugins and namespaces.
# Written by tools/completions.mjs from the commands; installed as share/fish/vendor_completions.d/overlayadm.fish.

function __overlayadm_overlays; overlayadm show-overlay -p -o link 2>/dev/null | sort -u; end
function __overlayadm_saved_overlays; overlayadm show-overlay -f -p -o link 2>/dev/null; end
function __overlayadm_vnics; overlayadm show-vnic -p -o link 2>/dev/null; end
function __overlayadm_links; overlayadm show-link -p -o link 2>/dev/null; end
function __overlayadm_plugins; overlayadm show-plugins -p -o name 2>/dev/null; end
function __overlayadm_encaps; overlayadm show-plugins -p -o kind,name 2>/dev/null | sed -n 's/^encap://p'; end
function __overlayadm_lookups; overlayadm show-plugins -p -o kind,name 2>/dev/null | sed -n 's/^lookup://p'; end
function __overlayadm_property_names; overlayadm show-linkprop -c -o property 2>/dev/null | sort -u; end
function __overlayadm_packages; overlayadm plugins 2>/dev/null | sed -n '2,$s/ .*//p'; end
function __overlayadm_namespaces; ls /run/netns 2>/dev/null; end
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
function __overlayadm_typed; string match -q -r -- "^(--$argv[2]|-[^-o]*$argv[1].*)\$" (commandline -opc); end
function __overlayadm_fields_show_overlay; if __overlayadm_typed f fma; __overlayadm_list '' link status details; else if __overlayadm_typed t target; __overlayadm_list '' link target destination; else; __overlayadm_list '' link property perm req value default possible; end; end
function __overlayadm_fields_show_vnic; __overlayadm_list '' link over macaddress mtu vid netns persistent state; end
function __overlayadm_fields_show_link; if __overlayadm_typed s statistics; __overlayadm_list '' link ipackets rbytes opackets obytes misses queued drops; else; __overlayadm_list '' link class mtu state over netns; end; end
function __overlayadm_fields_show_linkprop; __overlayadm_list '' link property perm value default possible; end
function __overlayadm_fields_show_plugins; __overlayadm_list '' kind name package version api uid pid problem properties; end

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
complete -c overlayadm -n __overlayadm_needs_command -a create-overlay -d 'Create an overlay'
complete -c overlayadm -n '__overlayadm_is create-overlay' -s e -l encap -x -a '(__overlayadm_encaps)' -d 'Encapsulation plugin: how a frame is put on the wire (required)'
complete -c overlayadm -n '__overlayadm_is create-overlay' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is create-overlay' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is create-overlay' -s p -l prop -x -a '(__overlayadm_overlay_properties)' -d 'Set properties; several with commas'
complete -c overlayadm -n '__overlayadm_is create-overlay' -s s -l search -x -a '(__overlayadm_lookups)' -d 'Lookup plugin: where a frame is sent (required)'
complete -c overlayadm -n '__overlayadm_is create-overlay' -s t -l temporary -d 'Not kept over a reboot'
complete -c overlayadm -n '__overlayadm_is create-overlay' -s v -l vnetid -x -a '(__overlayadm_nothing)' -d 'Number of the virtual network (required)'
complete -c overlayadm -n __overlayadm_needs_command -a create-vnic -d 'Create a VNIC over an overlay'
complete -c overlayadm -n '__overlayadm_is create-vnic' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is create-vnic' -s l -l link -x -a '(__overlayadm_overlays)' -d 'Overlay that the VNIC is over (required)'
complete -c overlayadm -n '__overlayadm_is create-vnic' -s m -l mac-address -x -a '(__overlayadm_nothing)' -d 'MAC address'
complete -c overlayadm -n '__overlayadm_is create-vnic' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is create-vnic' -s p -l prop -x -a '(__overlayadm_vnic_properties)' -d 'Set properties: mtu, netns'
complete -c overlayadm -n '__overlayadm_is create-vnic' -s t -l temporary -d 'Not kept over a reboot'
complete -c overlayadm -n '__overlayadm_is create-vnic' -s v -l vlan-id -x -a '(__overlayadm_nothing)' -d 'VLAN on the overlay, 1-4094'
complete -c overlayadm -n __overlayadm_needs_command -a delete-overlay -d 'Delete overlays'
complete -c overlayadm -n '__overlayadm_is delete-overlay' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is delete-overlay' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is delete-overlay' -s t -l temporary -d 'Keep what is saved'
complete -c overlayadm -n '__overlayadm_is delete-overlay' -a '(__overlayadm_saved_overlays)'
complete -c overlayadm -n __overlayadm_needs_command -a delete-vnic -d 'Delete VNICs'
complete -c overlayadm -n '__overlayadm_is delete-vnic' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is delete-vnic' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is delete-vnic' -s t -l temporary -d 'Keep what is saved'
complete -c overlayadm -n '__overlayadm_is delete-vnic' -a '(__overlayadm_vnics)'
complete -c overlayadm -n __overlayadm_needs_command -a modify-overlay -d 'Change the target cache of an overlay'
complete -c overlayadm -n '__overlayadm_is modify-overlay' -s d -l delete-entry -x -a '(__overlayadm_nothing)' -d 'Forget one target'
complete -c overlayadm -n '__overlayadm_is modify-overlay' -s f -l flush-table -d 'Forget all targets'
complete -c overlayadm -n '__overlayadm_is modify-overlay' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is modify-overlay' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is modify-overlay' -s s -l set-entry -x -a '(__overlayadm_nothing)' -d 'Send what is for MAC to DEST: ip:port, [ipv6]:port, or drop'
complete -c overlayadm -n '__overlayadm_is modify-overlay' -a '(__overlayadm_overlays)'
complete -c overlayadm -n __overlayadm_needs_command -a plugins -d 'List plugin packages that were installed or linked'
complete -c overlayadm -n '__overlayadm_is plugins' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is plugins' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is plugins; and __overlayadm_words_are 2' -a inspect -d 'Show what an installed plugin package says of itself'
complete -c overlayadm -n '__overlayadm_is plugins inspect' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is plugins inspect' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is plugins inspect' -a '(__overlayadm_packages)'
complete -c overlayadm -n '__overlayadm_is plugins; and __overlayadm_words_are 2' -a install -d 'Install plugin packages'
complete -c overlayadm -n '__overlayadm_is plugins install' -s f -l force -d 'Fetch also what npm has in its cache'
complete -c overlayadm -n '__overlayadm_is plugins install' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is plugins install' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is plugins install' -s v -l verbose -d 'Show what npm says'
complete -c overlayadm -n '__overlayadm_is plugins install' -a '(__overlayadm_files)'
complete -c overlayadm -n '__overlayadm_is plugins; and __overlayadm_words_are 2' -a link -d 'Use the plugin package in a folder'
complete -c overlayadm -n '__overlayadm_is plugins link' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is plugins link' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is plugins link' -s v -l verbose -d 'Show what npm says'
complete -c overlayadm -n '__overlayadm_is plugins link' -a '(__overlayadm_folders)'
complete -c overlayadm -n '__overlayadm_is plugins; and __overlayadm_words_are 2' -a uninstall -d 'Remove plugin packages that were installed or linked'
complete -c overlayadm -n '__overlayadm_is plugins uninstall' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is plugins uninstall' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is plugins uninstall' -s v -l verbose -d 'Show what npm says'
complete -c overlayadm -n '__overlayadm_is plugins uninstall' -a '(__overlayadm_packages)'
complete -c overlayadm -n '__overlayadm_is plugins; and __overlayadm_words_are 2' -a update -d 'Install newer versions of installed plugin packages'
complete -c overlayadm -n '__overlayadm_is plugins update' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is plugins update' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is plugins update' -s v -l verbose -d 'Show what npm says'
complete -c overlayadm -n __overlayadm_needs_command -a reset-linkprop -d 'Give properties of an overlay or a VNIC their defaults back'
complete -c overlayadm -n '__overlayadm_is reset-linkprop' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is reset-linkprop' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is reset-linkprop' -s p -l prop -x -a '(__overlayadm_link_property_names)' -d 'Names of properties; several with commas'
complete -c overlayadm -n '__overlayadm_is reset-linkprop' -s t -l temporary -d 'Not kept over a reboot'
complete -c overlayadm -n '__overlayadm_is reset-linkprop' -a '(__overlayadm_links)'
complete -c overlayadm -n __overlayadm_needs_command -a set-linkprop -d 'Change properties of an overlay or a VNIC'
complete -c overlayadm -n '__overlayadm_is set-linkprop' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is set-linkprop' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is set-linkprop' -s p -l prop -x -a '(__overlayadm_link_properties)' -d 'Properties and their values; several with commas (required)'
complete -c overlayadm -n '__overlayadm_is set-linkprop' -s t -l temporary -d 'Not kept over a reboot'
complete -c overlayadm -n '__overlayadm_is set-linkprop' -a '(__overlayadm_links)'
complete -c overlayadm -n __overlayadm_needs_command -a show-link -d 'Show overlays and VNICs as links, or their counters'
complete -c overlayadm -n '__overlayadm_is show-link' -s i -l interval -x -a '(__overlayadm_nothing)' -d 'With -s: show them again and again, so many seconds apart'
complete -c overlayadm -n '__overlayadm_is show-link' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is show-link' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is show-link' -s o -l output -x -a '(__overlayadm_fields_show_link)' -d 'Show these fields only, in this order; all for every one'
complete -c overlayadm -n '__overlayadm_is show-link' -s p -l parsable -d 'Print for programs: values between colons, no header. Needs -o'
complete -c overlayadm -n '__overlayadm_is show-link' -s s -l statistics -d 'Show counters'
complete -c overlayadm -n '__overlayadm_is show-link' -a '(__overlayadm_links)'
complete -c overlayadm -n __overlayadm_needs_command -a show-linkprop -d 'Show link properties of overlays and VNICs'
complete -c overlayadm -n '__overlayadm_is show-linkprop' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is show-linkprop' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is show-linkprop' -s o -l output -x -a '(__overlayadm_fields_show_linkprop)' -d 'Show these fields only, in this order; all for every one'
complete -c overlayadm -n '__overlayadm_is show-linkprop' -s c -l parsable -d 'Print for programs: values between colons, no header. Needs -o'
complete -c overlayadm -n '__overlayadm_is show-linkprop' -s P -l persistent -d 'Show as VALUE what a reboot brings back'
complete -c overlayadm -n '__overlayadm_is show-linkprop' -s p -l prop -x -a '(__overlayadm_property_names)' -d 'Show these properties only'
complete -c overlayadm -n '__overlayadm_is show-linkprop' -a '(__overlayadm_links)'
complete -c overlayadm -n __overlayadm_needs_command -a show-overlay -d 'Show properties, targets or health of overlays'
complete -c overlayadm -n '__overlayadm_is show-overlay' -l check -d 'With -f: exit status 3 when an overlay is degraded'
complete -c overlayadm -n '__overlayadm_is show-overlay' -s f -l fma -d 'Show health: online, degraded and why, or down'
complete -c overlayadm -n '__overlayadm_is show-overlay' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is show-overlay' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is show-overlay' -s o -l output -x -a '(__overlayadm_fields_show_overlay)' -d 'Show these fields only, in this order; all for every one'
complete -c overlayadm -n '__overlayadm_is show-overlay' -s p -l parsable -d 'Print for programs: values between colons, no header. Needs -o'
complete -c overlayadm -n '__overlayadm_is show-overlay' -s t -l target -d 'Show the target cache: which MAC address is sent where'
complete -c overlayadm -n '__overlayadm_is show-overlay' -a '(__overlayadm_saved_overlays)'
complete -c overlayadm -n __overlayadm_needs_command -a show-plugins -d 'Show the encapsulation and lookup plugins'
complete -c overlayadm -n '__overlayadm_is show-plugins' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is show-plugins' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is show-plugins' -s o -l output -x -a '(__overlayadm_fields_show_plugins)' -d 'Show these fields only, in this order; all for every one'
complete -c overlayadm -n '__overlayadm_is show-plugins' -s p -l parsable -d 'Print for programs: values between colons, no header. Needs -o'
complete -c overlayadm -n '__overlayadm_is show-plugins' -a '(__overlayadm_plugins)'
complete -c overlayadm -n __overlayadm_needs_command -a show-vnic -d 'Show VNICs'
complete -c overlayadm -n '__overlayadm_is show-vnic' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is show-vnic' -s l -l link -x -a '(__overlayadm_overlays)' -d 'Only those over this overlay'
complete -c overlayadm -n '__overlayadm_is show-vnic' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is show-vnic' -s o -l output -x -a '(__overlayadm_fields_show_vnic)' -d 'Show these fields only, in this order; all for every one'
complete -c overlayadm -n '__overlayadm_is show-vnic' -s p -l parsable -d 'Print for programs: values between colons, no header. Needs -o'
complete -c overlayadm -n '__overlayadm_is show-vnic' -a '(__overlayadm_vnics)'
complete -c overlayadm -n __overlayadm_needs_command -a up-overlay -d 'Bring up overlays that are saved'
complete -c overlayadm -n '__overlayadm_is up-overlay' -l json -d 'Print JSON'
complete -c overlayadm -n '__overlayadm_is up-overlay' -l no-color -d 'Print without colours'
complete -c overlayadm -n '__overlayadm_is up-overlay' -a '(__overlayadm_saved_overlays)'
