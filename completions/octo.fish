# Completion of octo's tools for fish: a link to this file for each of them, as octo-push.fish,
# in a directory of fish_complete_path. What there is to offer the one for bash knows; nothing
# that was typed is evaluated.

# Without a file that would be the current directory, and a file of that would be run.
set -g __octo_here /usr/share/octo
if test -f (status filename)
    set -g __octo_here (path resolve (status filename) | path dirname)
end

function __octo_engine
    set -l tool (command -s octo-push)
    set -l places $__octo_here/octo.bash
    if test -n "$tool"
        set -l below (path resolve $tool | path dirname | path dirname)
        set -a places $below/share/bash-completion/completions/octo-push
    end
    set -a places /usr/share/bash-completion/completions/octo-push
    for place in $places
        if test -r $place
            echo $place
            return
        end
    end
    return 1
end

function __octo_offers
    set -l engine (__octo_engine)
    or return
    set -l current (commandline -ct)
    set -l offers (bash $engine (commandline -opc) "$current" </dev/null 2>/dev/null)
    set -l before $offers[2]
    set -l typed (string sub -s (math (string length -- "$before") + 1) -- "$current")
    switch "$offers[1]"
        case files
            for path in (__fish_complete_path "$typed")
                echo -- $before$path
            end
        case directories
            for path in (__fish_complete_directories "$typed" '')
                echo -- $before$path
            end
        case '*'
            for word in $offers[3..-1]
                echo -- $before$word
            end
    end
end

for tool in octo-audit octo-deploy octo-enroll octo-exec octo-fetch octo-health octo-keys octo-listen octo-lock \
    octo-pack octo-promote octo-push octo-release octo-rollback octo-rotate octo-status octo-vars
    complete -c $tool -f -a '(__octo_offers)'
end
