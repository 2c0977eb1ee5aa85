#compdef octo-audit octo-deploy octo-enroll octo-exec octo-fetch octo-health octo-keys octo-listen octo-lock octo-pack octo-promote octo-push octo-release octo-rollback octo-rotate octo-status octo-vars
# Completion of octo's tools for zsh, as _octo in a directory of fpath. What there is to
# offer the one for bash knows; nothing that was typed is evaluated.

# _octo_engine: that file, beside this one or where the tools are installed
_octo_engine() {
  local place
  local -a places
  # An empty path would be the current directory, and a file of that would be run.
  if [[ -n $functions_source[_octo] ]]; then
    places+=(${functions_source[_octo]:A:h}/octo.bash)
  fi
  if [[ -n $commands[octo-push] ]]; then
    places+=(${commands[octo-push]:A:h:h}/share/bash-completion/completions/octo-push)
  fi
  for place in $places /usr/share/bash-completion/completions/octo-push; do
    if [[ -r $place ]]; then
      print -r -- $place
      return
    fi
  done
  return 1
}

_octo() {
  zmodload -F zsh/parameter p:functions_source p:commands
  local engine before
  local -a offers
  engine=$(_octo_engine) || return 1
  offers=("${(@f)$(bash $engine "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" </dev/null 2>/dev/null)}")
  before=${offers[2]-}
  # A value behind its option, as in --config=DIR and -tNAME, is completed by itself.
  IPREFIX+=$before
  PREFIX=${PREFIX#$before}
  case $offers[1] in
    files) _files ;;
    directories) _files -/ ;;
    *)
      offers=("${(@)offers[3,-1]}")
      if ((! $#offers)); then
        return 1
      fi
      # A word that ends in = goes on.
      compadd -S '' -- "${(@M)offers:#*=}"
      compadd -- "${(@)offers:#*=}"
      ;;
  esac
}

_octo "$@"
