# bash completion for sluice and sluice-setup                       -*- shell-script -*-

_sluice()
{
	local cur prev words cword
	_init_completion || return
	case $prev in
	-f | -p | --)
		_filedir
		return
		;;
	-C)
		_filedir -d
		return
		;;
	-cc | -L | -n | -N | -m) return ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W '-f -v -vv -c -cc -V -d -db -D -W -Ws -q -dW -dK -dN -C -L -n -N -m -p -h --' -- "$cur"))
	else
		_filedir
	fi
}
complete -F _sluice sluice sluice-check

_sluice_setup_nics()
{
	local d
	for d in /sys/class/net/*/device; do
		d=${d%/device}
		echo "${d##*/}"
	done
	for d in /sys/bus/pci/devices/*; do
		[[ -r $d/class && $(<"$d/class") == 0x02* ]] && echo "${d##*/}"
	done
}

_sluice_setup()
{
	local cur prev words cword
	_init_completion -n : || return
	if [ "$cword" -eq 1 ]; then
		COMPREPLY=($(compgen -W 'check hugepages bind unbind status undo config' -- "$cur"))
		return
	fi
	if [ "$prev" = -f ]; then
		_filedir
		return
	fi
	case ${words[1]} in
	check) COMPREPLY=($(compgen -W '-f' -- "$cur")) ;;
	hugepages) COMPREPLY=($(compgen -W '-f' -- "$cur")) ;;
	bind) COMPREPLY=($(compgen -W "--force --noiommu $(_sluice_setup_nics)" -- "$cur")) ;;
	unbind) COMPREPLY=($(compgen -W "$(_sluice_setup_nics)" -- "$cur")) ;;
	config) COMPREPLY=($(compgen -W "--af-xdp $(_sluice_setup_nics)" -- "$cur")) ;;
	esac
	__ltrim_colon_completions "$cur"
}
complete -F _sluice_setup sluice-setup

_sluicectl()
{
	local cur prev words cword
	_init_completion || return
	local i=1
	case $prev in
	-s)
		[ "${words[1]}" = capture ] || [ "${words[3]:-}" = capture ] || _filedir
		return
		;;
	-o | -w)
		_filedir
		return
		;;
	-c | -d | -n) return ;;
	esac
	[ "${words[1]}" = -s ] && i=3
	if [ "$cword" -le "$i" ]; then
		COMPREPLY=($(compgen -W '-s capture help report top show set get enable disable clear reload' -- "$cur"))
		return
	fi
	case ${words[i]} in
	capture) COMPREPLY=($(compgen -W '-w -c -s tcp port host net and or not' -- "$cur")) ;;
	report) COMPREPLY=($(compgen -W '-o' -- "$cur")) ;;
	top) COMPREPLY=($(compgen -W '-d -n' -- "$cur")) ;;
	esac
}
complete -F _sluicectl sluicectl
